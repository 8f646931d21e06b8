#include "data/random/keyed_random.h"
#include "data/synthetic/painter.h"

namespace diffprob::data::faces {
namespace {

constexpr float kWidest = 0.05f;  // height at which a head is widest

constexpr std::array<float, 256> kLattice = [] {
  std::array<float, 256> values{};
  KeyedRandom random(key_of_name("lattice"));
  for (float& value : values) value = 2.0f * random.uniform() - 1.0f;
  return values;
}();

/// Smooth noise in [-1, 1] on a unit lattice that repeats every 16 units.
float lattice_noise(Vec2 q) {
  const float fx = std::floor(q.x);
  const float fy = std::floor(q.y);
  const auto x = static_cast<std::size_t>(static_cast<std::int64_t>(fx) & 15);
  const auto y = static_cast<std::size_t>(static_cast<std::int64_t>(fy) & 15) * 16;
  const std::size_t x1 = (x + 1) & 15;
  const std::size_t y1 = (y + 16) & 255;
  const auto ease = [](float t) { return t * t * (3.0f - 2.0f * t); };
  const float tx = ease(q.x - fx);
  const float ty = ease(q.y - fy);
  const float top = kLattice[y + x] + (kLattice[y + x1] - kLattice[y + x]) * tx;
  const float bottom = kLattice[y1 + x] + (kLattice[y1 + x1] - kLattice[y1 + x]) * tx;
  return top + (bottom - top) * ty;
}

}  // namespace

Outline::Outline(const Head& head) : width_(head.width), chin_(head.chin) {
  const float narrowing = 0.33f - 0.55f * (head.jaw - 0.5f);
  for (int i = 0; i <= kSteps; ++i) {
    const float t = static_cast<float>(i) / kSteps;
    const float round = std::sqrt(1.0f - std::pow(t, head.square + 0.2f));
    half_[static_cast<std::size_t>(i)] = width_ * round * (1.0f - narrowing * std::pow(t, 1.4f));
  }
}

float Outline::distance(Vec2 q) const noexcept {
  if (q.y < kWidest) return ellipse(q - Vec2{0.0f, kWidest}, width_, kWidest - kTop);
  const float step = (chin_ - kWidest) / kSteps;
  const float position = std::min((q.y - kWidest) / step, static_cast<float>(kSteps) - 0.001f);
  const auto i = static_cast<std::size_t>(position);
  const float rise = half_[i + 1] - half_[i];
  const float half = half_[i] + rise * (position - static_cast<float>(i));
  const float slope = std::min(std::fabs(rise) / step, 3.0f);
  return std::max((std::fabs(q.x) - half) / std::sqrt(1.0f + slope * slope), q.y - chin_);
}

FacePainter::FacePainter(Canvas& canvas, const FaceIdentity& face, const FaceSample& sample)
    : canvas_(canvas),
      face_(face),
      sample_(sample),
      pose_(sample),
      outline_(face.head),
      head_(pose_.silhouette()) {}

void FacePainter::background() {
  const float angle = static_cast<float>(sample_.background_key & 1023) * 0.00613f;
  const Vec2 patch{static_cast<float>((sample_.background_key >> 10) & 15),
                   static_cast<float>((sample_.background_key >> 14) & 15)};
  const Vec2 across{std::cos(angle) / kSide, std::sin(angle) / kSide};
  for (int y = 0; y < kSide; ++y) {
    for (int x = 0; x < kSide; ++x) {
      const Vec2 p{static_cast<float>(x) - 56.0f, static_cast<float>(y) - 56.0f};
      const float t = 0.5f + dot(p, across) + 0.35f * lattice_noise(p * 0.04f + patch);
      canvas_.at(x, y) =
          mix(sample_.background[0], sample_.background[1], std::clamp(t, 0.0f, 1.0f));
    }
  }
}

void FacePainter::hair_behind() {
  const Hair& hair = face_.hair;
  const Colour dark = hair.colour * 0.72f;
  const float wide = face_.head.width + hair.volume + 0.10f;
  if (hair.style == HairStyle::kLong || hair.style == HairStyle::kBob) {
    const float end =
        (hair.style == HairStyle::kLong ? 2.2f : 0.85f + hair.curve * 0.5f) + sample_.hair_shift;
    const auto curtain = [&](Vec2 q) {
      return q.y < 0.0f ? ellipse(q, wide, 1.22f + hair.volume)
                        : std::max(std::fabs(q.x) - wide - 0.08f * q.y, q.y - end);
    };
    canvas_.fill(head_, {{-1.8f, -1.7f}, {1.8f, 2.4f}}, curtain, dark);
  } else if (hair.style == HairStyle::kCurly) {
    const auto cloud = [&](Vec2 q) {
      return ellipse(q - Vec2{0.0f, -0.38f}, wide + 0.22f, 1.12f + hair.volume) +
             0.07f * lattice_noise(q * 5.0f);
    };
    canvas_.fill(head_, {{-1.8f, -2.0f}, {1.8f, 1.2f}}, cloud, dark, 1.0f, 2.0f);
  }
}

void FacePainter::body() {
  const float neck = neck_half_width();
  canvas_.fill(
      head_, {{-1.0f, 0.5f}, {1.0f, 2.5f}},
      [&](Vec2 q) {
        return capsule(q, {0.0f, 0.6f}, {0.0f, 2.6f}, neck);
      },
      face_.skin * 0.74f);
  canvas_.fill(
      head_, {{-2.5f, 1.2f}, {2.5f, 2.6f}},
      [](Vec2 q) {
        return std::max(1.52f + 0.12f * q.x * q.x - q.y, 0.42f - length(q - Vec2{0.0f, 1.3f}));
      },
      sample_.cloth);
}

void FacePainter::ears(bool in_front) {
  const Head& head = face_.head;
  for (const float side : {-1.0f, 1.0f}) {
    const float turn = pose_.towards_viewer(side);
    const bool hidden = turn < -0.35f;
    if (hidden || (turn > 0.2f) != in_front) continue;
    // Turned to the viewer, an ear moves in from the silhouette and opens up.
    const float x =
        side * (head.width + head.ear_out - 0.55f * std::max(turn, 0.0f) * std::max(turn, 0.0f));
    const float rx = head.ear_size * (0.5f + 0.35f * std::max(turn, 0.0f));
    const Frame frame = head_.moved({x, head.ear_y - 0.5f * pose_.sin_pitch()}, side * 0.15f);
    const Box box = around({0.0f, 0.0f}, rx, head.ear_size);
    canvas_.fill(
        frame, box, [&](Vec2 q) { return ellipse(q, rx, head.ear_size); }, face_.skin * 0.90f);
    canvas_.tint(
        frame, box,
        [&](Vec2 q) { return std::fabs(ellipse(q, 0.55f * rx, 0.62f * head.ear_size)) - 0.025f; },
        shadow(0.9f), 0.6f, 1.3f);
  }
}

void FacePainter::skin() {
  const Box box{{-1.3f, -1.3f}, {1.3f, 1.6f}};
  const auto under_chin = [&](Vec2 q) {
    return std::max(outline_.distance(q), std::fabs(q.x) - neck_half_width());
  };
  canvas_.tint(head_.moved({0.0f, 0.10f}), box, under_chin, shadow(0.9f), 0.8f, 4.0f);
  canvas_.fill(
      head_, box, [&](Vec2 q) { return outline_.distance(q); }, face_.skin);
  for (const float side : {-1.0f, 1.0f}) {  // cheeks
    const Frame cheek = pose_.on_face({side * 0.52f, 0.34f});
    canvas_.tint(
        cheek, around({0.0f, 0.0f}, 0.3f, 0.24f), [](Vec2 q) { return ellipse(q, 0.22f, 0.16f); },
        {1.04f, 0.90f, 0.88f}, 0.7f, 10.0f);
  }
}

void FacePainter::beard() {
  const Beard& beard = face_.beard;
  const float strength = std::max(beard.stubble * 0.75f, beard.full);
  if (strength > 0.0f) {
    const float shift = 0.7f * pose_.sin_yaw();
    const auto area = [&](Vec2 q) {
      const float x = (q.x - shift) / face_.head.width;
      const float edge = 0.56f - 0.55f * x * x + 0.03f * lattice_noise(q * 9.0f);
      return std::max(outline_.distance(q) - 0.04f * beard.full, edge - q.y);
    };
    canvas_.fill(head_, {{-1.3f, -0.2f}, {1.3f, 1.6f}}, area,
                 mix(face_.hair.colour, face_.skin, 0.25f), strength * 0.9f, 3.0f);
  }
  if (beard.moustache > 0.0f || beard.full > 0.0f) {
    const Frame lip = pose_.on_face({0.0f, face_.mouth.y - face_.mouth.upper - 0.07f}, 0.05f);
    const float half = face_.mouth.width * 0.98f;
    const auto curve = [&](float x) { return 0.35f * x * x / half; };
    canvas_.fill(
        lip, around({0.0f, 0.05f}, half, 0.2f),
        [&](Vec2 q) { return stroke(q, half, 0.13f, 0.7f, curve); }, face_.hair.colour,
        std::max(beard.moustache, beard.full * 0.9f), 1.8f);
  }
}

float FacePainter::hairline(float x) const {
  const Hair& hair = face_.hair;
  const float u = (x - 0.5f * pose_.sin_yaw()) / face_.head.width;
  const float u2 = u * u;
  float line = hair.line + sample_.hair_shift - 0.55f * pose_.sin_pitch() + hair.curve * u2 +
               0.55f * u2 * u2 * u2;
  switch (hair.style) {
    case HairStyle::kParted:
      line += 0.30f * (u - hair.part) * (u > hair.part ? 1.2f : -0.5f);
      break;
    case HairStyle::kBob:
      line += 0.22f + 0.02f * std::cos(u * 40.0f) + 0.9f * u2 * u2;
      break;  // fringe
    case HairStyle::kLong:
      line += 0.16f * std::fabs(u - hair.part) - 0.05f + 1.1f * u2 * u2 * u2;
      break;
    case HairStyle::kCurly:
      line += 0.04f * std::cos(u * 17.0f + hair.part * 20.0f);
      break;
    case HairStyle::kShort:
      line += 0.03f * std::cos(u * 23.0f + hair.part * 20.0f) + 0.12f * hair.part * u;
      break;
    default:
      break;
  }
  return line;
}

void FacePainter::hair_in_front() {
  const Hair& hair = face_.hair;
  if (hair.style == HairStyle::kBald) {
    const auto shaved = [&](Vec2 q) { return std::max(outline_.distance(q), q.y - hairline(q.x)); };
    canvas_.fill(head_, {{-1.3f, -1.4f}, {1.3f, 0.4f}}, shaved, mix(hair.colour, face_.skin, 0.5f),
                 std::clamp(hair.part + 0.25f, 0.0f, 0.6f), 4.0f);
    return;
  }
  const bool falls = hair.style == HairStyle::kLong || hair.style == HairStyle::kBob;
  const float side = falls ? 2.0f : 0.22f + 0.3f * hair.curve;
  const auto cap = [&](Vec2 q) {
    const float below_line = q.y - hairline(q.x);
    // Hair lies flat where it begins.
    const float volume = hair.volume * std::clamp(-3.0f * below_line, 0.0f, 1.0f);
    return std::max({outline_.distance(q) - volume, below_line, q.y - side});
  };
  const auto strands = [&](Vec2 q) {
    const float u = q.x - hair.part;
    const float shine = std::exp(-12.0f * (q.y + 0.95f) * (q.y + 0.95f));
    const float grain = lattice_noise({u * 16.0f / (1.2f + q.y * 0.3f), q.y * 2.5f + u * 2.0f});
    return hair.colour * (1.0f + 0.20f * grain + 0.35f * shine);
  };
  canvas_.paint(head_, {{-1.5f, -1.7f}, {1.5f, 2.0f}}, cap, strands, 1.0f, 1.6f);
}

void FacePainter::light() {
  const Vec2 source = sample_.light;
  const float front = std::sqrt(std::max(0.0f, 1.0f - dot(source, source)));
  for (int y = 0; y < kSide; ++y) {
    for (int x = 0; x < kSide; ++x) {
      Vec2 normal = head_.to_local({static_cast<float>(x) + 0.5f, static_cast<float>(y) + 0.5f});
      normal = {normal.x / 1.15f, normal.y / 1.5f};
      const float squared = dot(normal, normal);
      if (squared > 0.92f) normal = normal * std::sqrt(0.92f / squared);
      const float facing = std::sqrt(1.0f - std::min(squared, 0.92f));
      const float lambert = std::max(0.0f, dot(normal, source) + facing * front) * 1.15f;
      canvas_.at(x, y) = canvas_.at(x, y) * (sample_.ambient + (1.0f - sample_.ambient) * lambert);
    }
  }
}

}  // namespace diffprob::data::faces
