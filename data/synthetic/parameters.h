#pragma once

#include <array>
#include <cstdint>

#include "data/synthetic/canvas.h"

/// What the synthetic faces are made of. Lengths are in head units: 1 = half the width of an
/// average head (about 42 pixels); y points down.
namespace diffprob::data::faces {

enum class HairStyle { kShort, kLong, kBob, kCurly, kParted, kBald, kCount };

struct Brow {
  float height, length, thickness, tilt, arch;
};
struct Eye {
  float distance;  ///< half the distance between the eyes
  float y, width, open, tilt, iris;
  Colour iris_colour;
  float crease;  ///< strength of the lid crease, 0..1
};
struct Nose {
  float length, width, tip, bridge, nostril;
};
struct Mouth {
  float y, width, upper, lower, bow;
  Colour colour;
};
struct Head {
  float width, jaw, chin, square, ear_y, ear_size, ear_out;
};
struct Hair {
  HairStyle style;
  Colour colour;
  float line, curve, part, volume;
};
struct Beard {
  float stubble, moustache, full;  ///< strengths, 0..1
};
struct Glasses {
  bool worn;
  float width, height, corner, thickness;
  Colour colour;
};
struct Spot {
  Vec2 at;
  float radius, strength;
};

/// Everything about a person that stays the same from picture to picture.
struct FaceIdentity {
  Head head;
  Colour skin;
  Hair hair;
  Brow brow;
  Eye eye;
  Nose nose;
  Mouth mouth;
  Beard beard;
  Glasses glasses;
  float folds;  ///< nasolabial lines, 0..1
  std::array<Spot, 24> spots;
  int num_spots;
};

enum class Occluder { kNone, kSunglasses, kBar, kHand, kMask };

/// Everything that differs between two pictures of one person.
struct FaceSample {
  float yaw, pitch, roll;  ///< radians
  float scale;             ///< 1 = as aligned
  Vec2 shift;              ///< pixels
  float open, smile, brows, lids, gaze;
  Vec2 light;  ///< direction, length 0..1
  float ambient, gain, contrast;
  Colour cast;
  float blur, noise;  ///< pixels; 1 = full range
  int quality;        ///< of the JPEG
  Occluder occluder;
  Vec2 occluder_at;
  float occluder_angle;
  Colour occluder_colour;
  bool without_glasses;
  float hair_shift;
  std::array<Colour, 2> background;
  Colour cloth;
  std::uint64_t background_key;
  std::uint64_t noise_key;
};

enum class Difficulty { kPlain, kHard };

/// spread 1: the usual variety of people; 0: all the same.
[[nodiscard]] FaceIdentity draw_identity(std::uint64_t key, float spread);
/// nuisance 1: the usual variety of pictures; 0: all the same pose, light and expression.
[[nodiscard]] FaceSample draw_sample(std::uint64_t key, float nuisance, Difficulty difficulty);
/// The same shot again: crop off by a hundredth, fresh sensor noise, another compression.
[[nodiscard]] FaceSample near_copy(const FaceSample& original, std::uint64_t key);

}  // namespace diffprob::data::faces
