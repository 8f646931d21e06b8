#include "data/synthetic/pose.h"

namespace diffprob::data::faces {
namespace {

constexpr float kPixelsPerUnit = 42.0f;
constexpr Vec2 kCentre{56.0f, 57.0f};  // pixel of head point (0, 0) in an upright picture
constexpr float kCamera = 5.0f;        // distance of the camera, head units
constexpr float kFaceDepth = 0.75f;    // depth that is drawn at scale 1

/// Depth of the face's surface at (x, y).
float surface(Vec2 at) {
  const float y = at.y - 0.05f;
  return 0.8f * std::sqrt(std::max(0.04f, 1.0f - at.x * at.x / 1.17f - y * y / 1.9f));
}

}  // namespace

Pose::Pose(const FaceSample& sample)
    : sin_yaw_(std::sin(sample.yaw)),
      cos_yaw_(std::cos(sample.yaw)),
      sin_pitch_(std::sin(sample.pitch)),
      cos_pitch_(std::cos(sample.pitch)),
      sin_roll_(std::sin(sample.roll)),
      cos_roll_(std::cos(sample.roll)),
      pixels_(kPixelsPerUnit * sample.scale) {
  static constexpr std::array<Vec2, 5> kLandmarks{
      {{-0.41f, -0.16f}, {0.41f, -0.16f}, {0.0f, 0.33f}, {-0.3f, 0.74f}, {0.3f, 0.74f}}};
  Vec2 found{0.0f, 0.0f};
  Vec2 wanted{0.0f, 0.0f};
  for (const Vec2 landmark : kLandmarks) {
    found = found + on_surface(landmark, 0.0f) * 0.2f;
    wanted = wanted + landmark * (0.2f * kPixelsPerUnit);
  }
  offset_ = kCentre + wanted - found + sample.shift;
}

Vec2 Pose::project(Vec2 at, float depth) const {
  const float x = at.x * cos_yaw_ + depth * sin_yaw_;
  const float z = -at.x * sin_yaw_ + depth * cos_yaw_;
  const float y = at.y * cos_pitch_ - z * sin_pitch_;
  const float z_turned = at.y * sin_pitch_ + z * cos_pitch_;
  const float scale = pixels_ * (kCamera - kFaceDepth) / (kCamera - z_turned);
  return Vec2{x * cos_roll_ - y * sin_roll_, x * sin_roll_ + y * cos_roll_} * scale + offset_;
}

Vec2 Pose::on_surface(Vec2 at, float lift) const {
  return project(at, surface(at) + lift);
}

Frame Pose::on_face(Vec2 at, float lift) const {
  constexpr float kStep = 0.05f;
  const Vec2 x_axis =
      (on_surface(at + Vec2{kStep, 0.0f}, lift) - on_surface(at - Vec2{kStep, 0.0f}, lift)) *
      (0.5f / kStep);
  const Vec2 y_axis =
      (on_surface(at + Vec2{0.0f, kStep}, lift) - on_surface(at - Vec2{0.0f, kStep}, lift)) *
      (0.5f / kStep);
  return {on_surface(at, lift), x_axis, y_axis};
}

Frame Pose::silhouette() const {
  // A head is deeper than wide.
  const float wide = std::sqrt(cos_yaw_ * cos_yaw_ + 1.2f * sin_yaw_ * sin_yaw_);
  return {project({0.0f, 0.0f}, 0.0f), Vec2{cos_roll_, sin_roll_} * (pixels_ * wide),
          Vec2{-sin_roll_, cos_roll_} * pixels_};
}

}  // namespace diffprob::data::faces
