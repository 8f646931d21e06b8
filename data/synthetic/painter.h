#pragma once

#include <array>

#include "data/synthetic/canvas.h"
#include "data/synthetic/parameters.h"
#include "data/synthetic/pose.h"

namespace diffprob::data::faces {

/// Silhouette of a head, symmetric in x: half an ellipse above, below a table of half widths from
/// the widest place to the chin.
class Outline {
 public:
  explicit Outline(const Head& head);
  /// Approximate signed distance in head units.
  [[nodiscard]] float distance(Vec2 q) const noexcept;

 private:
  static constexpr int kSteps = 192;
  static constexpr float kTop = -1.22f;
  float width_;
  float chin_;
  std::array<float, kSteps + 1> half_{};
};

/// Paints one face, layer by layer from back to front. The order of calls is that of render_face.
class FacePainter {
 public:
  FacePainter(Canvas& canvas, const FaceIdentity& face, const FaceSample& sample);

  // face_head.cpp
  void background();
  void hair_behind();
  void body();
  void ears(bool in_front);
  void skin();
  void beard();
  void hair_in_front();
  void light();

  // face_features.cpp
  void marks();
  void nose();
  void mouth();
  void eyes();
  void glasses();
  void occluder();

 private:
  [[nodiscard]] Colour shadow(float strength) const {
    return mix({1.0f, 1.0f, 1.0f}, {0.50f, 0.36f, 0.34f}, strength);
  }
  [[nodiscard]] float neck_half_width() const { return 0.52f + 0.25f * (face_.head.jaw - 0.3f); }
  [[nodiscard]] float hairline(float x) const;
  void eye(float side);
  void eyeball(const Frame& frame, float open);
  void brow(float side);
  void open_mouth(const Frame& frame, float half, float gap, float corner);
  void lens_pair(float width, float height, float corner, float thickness, Colour colour,
                 float fill);
  void hand(const Frame& frame);
  void mask();

  Canvas& canvas_;
  const FaceIdentity& face_;
  const FaceSample& sample_;
  Pose pose_;
  Outline outline_;
  Frame head_;
};

}  // namespace diffprob::data::faces
