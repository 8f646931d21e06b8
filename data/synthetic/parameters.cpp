#include "data/synthetic/parameters.h"

#include <algorithm>

#include "data/random/keyed_random.h"

namespace diffprob::data::faces {
namespace {

/// Normal numbers without the tails: a face must stay a face.
float bounded_normal(KeyedRandom& random) {
  return std::clamp(random.normal(), -2.0f, 2.0f);
}

/// Draws traits of one person: values around a mean, scaled by the spread.
class Traits {
 public:
  Traits(std::uint64_t key, float spread) : random_(key), spread_(spread) {}
  float around(float mean, float deviation) {
    return mean + spread_ * deviation * bounded_normal(random_);
  }
  float unit() { return std::clamp(0.5f + spread_ * (random_.uniform() - 0.5f), 0.0f, 1.0f); }
  bool chance(float p) { return random_.uniform() < p * std::min(spread_, 1.0f); }
  /// A step of a palette, the same for everybody at spread 0.
  template <std::size_t N>
  Colour pick(const std::array<Colour, N>& palette) {
    const Colour colour = palette[random_.below(N)];
    const float t = 0.12f * spread_;
    const Colour varied = colour * (1.0f + t * (2.0f * random_.uniform() - 1.0f));
    return mix(palette[0], varied, std::min(spread_, 1.0f));
  }
  KeyedRandom& random() { return random_; }

 private:
  KeyedRandom random_;
  float spread_;
};

Colour draw_skin(Traits& traits) {
  static constexpr std::array<Colour, 6> kTones{{{0.96f, 0.80f, 0.70f},
                                                 {0.91f, 0.72f, 0.58f},
                                                 {0.84f, 0.63f, 0.47f},
                                                 {0.70f, 0.49f, 0.35f},
                                                 {0.52f, 0.35f, 0.25f},
                                                 {0.38f, 0.25f, 0.18f}}};
  const float position = traits.unit() * 4.999f;
  const auto step = static_cast<std::size_t>(position);
  const Colour tone = mix(kTones[step], kTones[step + 1], position - static_cast<float>(step));
  const float redness = traits.around(0.0f, 0.03f);
  return {std::min(tone.r * (1.0f + redness), 1.0f), tone.g, tone.b * (1.0f - redness)};
}

Head draw_head(Traits& traits) {
  return {.width = traits.around(1.0f, 0.055f),
          .jaw = traits.around(0.5f, 0.17f),
          .chin = traits.around(1.32f, 0.07f),
          .square = traits.around(2.3f, 0.4f),
          .ear_y = traits.around(0.05f, 0.07f),
          .ear_size = traits.around(0.24f, 0.045f),
          .ear_out = traits.around(0.06f, 0.035f)};
}

Hair draw_hair(Traits& traits) {
  static constexpr std::array<Colour, 8> kColours{{{0.16f, 0.11f, 0.08f},
                                                   {0.08f, 0.07f, 0.08f},
                                                   {0.30f, 0.19f, 0.11f},
                                                   {0.45f, 0.29f, 0.16f},
                                                   {0.78f, 0.62f, 0.35f},
                                                   {0.58f, 0.24f, 0.10f},
                                                   {0.60f, 0.58f, 0.56f},
                                                   {0.66f, 0.47f, 0.28f}}};
  const auto style =
      static_cast<HairStyle>(traits.random().below(static_cast<std::uint64_t>(HairStyle::kCount)));
  return {.style = traits.chance(1.0f) ? style : HairStyle::kShort,
          .colour = traits.pick(kColours),
          .line = traits.around(-0.78f, 0.10f),
          .curve = traits.around(0.45f, 0.18f),
          .part = traits.around(0.0f, 0.22f),
          .volume = traits.around(0.13f, 0.04f)};
}

Eye draw_eye(Traits& traits) {
  static constexpr std::array<Colour, 6> kIris{{{0.30f, 0.18f, 0.10f},
                                                {0.18f, 0.11f, 0.07f},
                                                {0.42f, 0.30f, 0.14f},
                                                {0.28f, 0.48f, 0.62f},
                                                {0.34f, 0.50f, 0.34f},
                                                {0.46f, 0.52f, 0.56f}}};
  return {.distance = traits.around(0.41f, 0.032f),
          .y = traits.around(-0.16f, 0.03f),
          .width = traits.around(0.185f, 0.026f),
          .open = traits.around(0.092f, 0.022f),
          .tilt = traits.around(-0.04f, 0.085f),
          .iris = traits.around(0.088f, 0.011f),
          .iris_colour = traits.pick(kIris),
          .crease = traits.unit()};
}

Beard draw_beard(Traits& traits) {
  Beard beard{0.0f, 0.0f, 0.0f};
  if (traits.chance(0.22f)) beard.stubble = 0.25f + 0.3f * traits.unit();
  if (traits.chance(0.16f)) beard.moustache = 0.6f + 0.4f * traits.unit();
  if (traits.chance(0.14f)) beard.full = 0.65f + 0.35f * traits.unit();
  return beard;
}

Glasses draw_glasses(Traits& traits) {
  static constexpr std::array<Colour, 4> kFrames{
      {{0.10f, 0.10f, 0.11f}, {0.36f, 0.20f, 0.12f}, {0.62f, 0.55f, 0.40f}, {0.20f, 0.22f, 0.40f}}};
  const bool worn = traits.chance(0.16f);
  return {.worn = worn,
          .width = traits.around(0.32f, 0.03f),
          .height = traits.around(0.23f, 0.04f),
          .corner = 0.05f + 0.17f * traits.unit(),
          .thickness = 0.03f + 0.03f * traits.unit(),
          .colour = traits.pick(kFrames)};
}

void draw_spots(Traits& traits, FaceIdentity& face) {
  KeyedRandom& random = traits.random();
  const bool freckled = traits.chance(0.22f);
  const std::uint64_t moles = traits.chance(0.55f) ? 1 + random.below(3) : 0;
  face.num_spots = static_cast<int>(moles + (freckled ? 20 : 0));
  for (int i = 0; i < face.num_spots; ++i) {
    const bool mole = i < static_cast<int>(moles);
    const float side = random.uniform() < 0.5f ? -1.0f : 1.0f;
    const Vec2 cheek{side * random.uniform(0.08f, 0.62f), random.uniform(-0.05f, 0.38f)};
    const Vec2 anywhere{side * random.uniform(0.1f, 0.72f), random.uniform(-0.55f, 0.95f)};
    face.spots[static_cast<std::size_t>(i)] = {
        mole ? anywhere : cheek,
        mole ? random.uniform(0.026f, 0.042f) : random.uniform(0.012f, 0.022f),
        mole ? 0.85f : 0.5f};
  }
}

void draw_pose(KeyedRandom& random, float strength, FaceSample& sample) {
  sample.yaw = std::clamp(0.26f * strength * bounded_normal(random), -0.95f, 0.95f);
  sample.pitch = std::clamp(0.14f * strength * bounded_normal(random), -0.45f, 0.45f);
  sample.roll = 0.06f * strength * bounded_normal(random);
  sample.scale = 1.0f + 0.03f * strength * bounded_normal(random);
  sample.shift = Vec2{bounded_normal(random), bounded_normal(random)} * (1.5f * strength);
}

void draw_expression(KeyedRandom& random, float nuisance, FaceSample& sample) {
  const float mouth = random.uniform();
  sample.open = std::min(1.2f, nuisance * (mouth < 0.55f ? 0.0f : (mouth - 0.55f) * 2.2f));
  sample.smile = nuisance * random.uniform(-0.5f, 1.0f);
  sample.brows = 0.5f * nuisance * bounded_normal(random);
  const float lids = random.uniform();
  sample.lids = 1.0f - std::min(0.95f, nuisance * (lids < 0.08f ? 0.9f : 0.35f * random.uniform()));
  sample.gaze = 0.35f * nuisance * bounded_normal(random);
}

void draw_light(KeyedRandom& random, float nuisance, float darkness, FaceSample& sample) {
  const float angle = random.uniform(0.0f, 6.2831853f);
  const float tilt = std::min(0.95f, nuisance * random.uniform(0.0f, 0.8f));
  sample.light =
      Vec2{std::cos(angle), std::sin(angle) * 0.7f - 0.25f * std::min(nuisance, 1.0f)} * tilt;
  sample.ambient = 1.0f - std::min(0.75f, nuisance * random.uniform(0.1f, 0.6f));
  sample.gain = (1.0f + 0.14f * nuisance * bounded_normal(random)) * darkness;
  sample.contrast = 1.0f + 0.10f * nuisance * bounded_normal(random);
  const float warmth = 0.06f * nuisance * bounded_normal(random);
  const float green = 0.02f * nuisance * bounded_normal(random);
  sample.cast = {1.0f + warmth, 1.0f + green, 1.0f - warmth};
}

void draw_occluder(KeyedRandom& random, float probability, FaceSample& sample) {
  sample.occluder =
      random.uniform() < probability ? static_cast<Occluder>(1 + random.below(4)) : Occluder::kNone;
  sample.occluder_at = {random.uniform(-0.9f, 0.9f), random.uniform(-0.9f, 1.1f)};
  sample.occluder_angle = random.uniform(-1.6f, 1.6f);
  sample.occluder_colour = {random.uniform(), random.uniform(), random.uniform()};
}

Colour draw_colour(KeyedRandom& random, float nuisance) {
  const Colour colour{random.uniform(0.1f, 0.9f), random.uniform(0.1f, 0.9f),
                      random.uniform(0.1f, 0.9f)};
  return mix({0.5f, 0.5f, 0.5f}, colour, 0.7f * std::min(nuisance, 1.0f));
}

}  // namespace

FaceIdentity draw_identity(std::uint64_t key, float spread) {
  static constexpr std::array<Colour, 4> kLips{
      {{0.82f, 0.50f, 0.48f}, {0.76f, 0.36f, 0.36f}, {0.88f, 0.58f, 0.54f}, {0.66f, 0.34f, 0.34f}}};
  Traits traits(key, spread);
  FaceIdentity face{};
  face.head = draw_head(traits);
  face.skin = draw_skin(traits);
  face.hair = draw_hair(traits);
  face.eye = draw_eye(traits);
  face.brow = {.height = traits.around(0.20f, 0.028f),
               .length = traits.around(0.235f, 0.028f),
               .thickness = traits.around(0.068f, 0.022f),
               .tilt = traits.around(0.0f, 0.10f),
               .arch = traits.around(0.055f, 0.03f)};
  face.nose = {.length = traits.around(0.50f, 0.055f),
               .width = traits.around(0.17f, 0.03f),
               .tip = traits.around(0.11f, 0.018f),
               .bridge = traits.around(0.5f, 0.22f),
               .nostril = traits.around(0.042f, 0.01f)};
  face.mouth = {.y = traits.around(0.74f, 0.045f),
                .width = traits.around(0.32f, 0.042f),
                .upper = traits.around(0.065f, 0.018f),
                .lower = traits.around(0.085f, 0.022f),
                .bow = traits.around(0.4f, 0.25f),
                .colour = traits.pick(kLips) * mix({1.0f, 1.0f, 1.0f}, face.skin, 0.55f) * 1.15f};
  face.beard = draw_beard(traits);
  face.glasses = draw_glasses(traits);
  face.folds = traits.unit();
  draw_spots(traits, face);
  return face;
}

FaceSample draw_sample(std::uint64_t key, float nuisance, Difficulty difficulty) {
  KeyedRandom random(key);
  const bool hard = difficulty == Difficulty::kHard;
  // 0 none, 1 pose, 2 occlusion, 3 blur, 4 darkness.
  const std::uint64_t burden = hard ? 1 + random.below(4) : 0;
  FaceSample sample{};
  draw_pose(random, nuisance, sample);
  if (burden == 1) sample.yaw = (sample.yaw < 0.0f ? -1.0f : 1.0f) * random.uniform(0.75f, 1.05f);
  draw_expression(random, nuisance, sample);
  draw_light(random, nuisance, burden == 4 ? random.uniform(0.18f, 0.35f) : 1.0f, sample);
  draw_occluder(random, burden == 2 ? 1.0f : 0.07f * std::min(nuisance, 3.0f), sample);
  sample.blur =
      burden == 3 ? random.uniform(2.2f, 3.4f) : 0.2f + nuisance * random.uniform(0.0f, 0.8f);
  sample.noise = nuisance * random.uniform(0.004f, 0.03f);
  sample.quality = 95 - static_cast<int>(std::min(nuisance, 1.5f) * random.uniform(0.0f, 35.0f));
  sample.without_glasses = random.uniform() < 0.15f * std::min(nuisance, 2.0f);
  sample.hair_shift = 0.04f * nuisance * bounded_normal(random);
  for (Colour& colour : sample.background) colour = draw_colour(random, nuisance);
  sample.cloth = draw_colour(random, nuisance);
  sample.background_key = random.bits();
  sample.noise_key = random.bits();
  return sample;
}

FaceSample near_copy(const FaceSample& original, std::uint64_t key) {
  KeyedRandom random(key);
  FaceSample copy = original;
  copy.scale *= random.uniform(0.99f, 1.01f);
  copy.shift = copy.shift + Vec2{random.uniform(-0.6f, 0.6f), random.uniform(-0.6f, 0.6f)};
  copy.gain *= random.uniform(0.985f, 1.015f);
  copy.quality = std::clamp(original.quality + static_cast<int>(random.below(21)) - 10, 55, 97);
  copy.noise_key = random.bits();
  return copy;
}

}  // namespace diffprob::data::faces
