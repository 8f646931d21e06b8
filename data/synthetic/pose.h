#pragma once

#include "data/synthetic/parameters.h"

namespace diffprob::data::faces {

/// Where points of the head land on the picture. The head is half an ellipsoid; after turning it is
/// moved so that the mean of eyes, nose and mouth stays where face alignment would put it.
class Pose {
 public:
  explicit Pose(const FaceSample& sample);
  /// Frame on the surface at (x, y), raised by `lift`; foreshortened as that part of the surface
  /// is.
  [[nodiscard]] Frame on_face(Vec2 at, float lift = 0.0f) const;
  /// Frame of the silhouette, which turning hardly changes.
  [[nodiscard]] Frame silhouette() const;
  /// How far a point at the side of the head (x, depth 0) has turned towards the viewer.
  [[nodiscard]] float towards_viewer(float x) const { return -x * sin_yaw_; }
  [[nodiscard]] float sin_yaw() const { return sin_yaw_; }
  [[nodiscard]] float sin_pitch() const { return sin_pitch_; }

 private:
  [[nodiscard]] Vec2 project(Vec2 at, float depth) const;
  [[nodiscard]] Vec2 on_surface(Vec2 at, float lift) const;

  float sin_yaw_, cos_yaw_, sin_pitch_, cos_pitch_, sin_roll_, cos_roll_;
  float pixels_;  // a head unit
  Vec2 offset_{0.0f, 0.0f};
};

}  // namespace diffprob::data::faces
