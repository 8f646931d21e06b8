#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

namespace diffprob::data::faces {

inline constexpr int kSide = 112;  ///< pixels of a face image, both ways

struct Colour {  ///< 0..1 a channel, display-referred
  float r;
  float g;
  float b;
};
constexpr Colour operator*(Colour c, float s) noexcept {
  return {c.r * s, c.g * s, c.b * s};
}
constexpr Colour operator*(Colour a, Colour b) noexcept {
  return {a.r * b.r, a.g * b.g, a.b * b.b};
}
constexpr Colour operator+(Colour a, Colour b) noexcept {
  return {a.r + b.r, a.g + b.g, a.b + b.b};
}
constexpr Colour mix(Colour a, Colour b, float t) noexcept {
  return a * (1.0f - t) + b * t;
}

struct Vec2 {
  float x;
  float y;
};
constexpr Vec2 operator+(Vec2 a, Vec2 b) noexcept {
  return {a.x + b.x, a.y + b.y};
}
constexpr Vec2 operator-(Vec2 a, Vec2 b) noexcept {
  return {a.x - b.x, a.y - b.y};
}
constexpr Vec2 operator*(Vec2 a, float s) noexcept {
  return {a.x * s, a.y * s};
}
constexpr float dot(Vec2 a, Vec2 b) noexcept {
  return a.x * b.x + a.y * b.y;
}
inline float length(Vec2 a) noexcept {
  return std::sqrt(dot(a, a));
}

/// A local coordinate system on the picture: pixel = origin + x_axis * x + y_axis * y.
class Frame {
 public:
  Frame(Vec2 origin, Vec2 x_axis, Vec2 y_axis) noexcept
      : origin_(origin), x_axis_(x_axis), y_axis_(y_axis) {
    float det = x_axis.x * y_axis.y - x_axis.y * y_axis.x;
    if (std::fabs(det) < 1e-3f)
      det = det < 0.0f ? -1e-3f : 1e-3f;  // edge-on: nothing visible, but no division by zero
    inverse_x_ = Vec2{y_axis.y, -y_axis.x} * (1.0f / det);
    inverse_y_ = Vec2{-x_axis.y, x_axis.x} * (1.0f / det);
    pixels_per_unit_ = std::sqrt(std::fabs(det));
  }
  [[nodiscard]] Vec2 to_pixel(Vec2 local) const noexcept {
    return origin_ + x_axis_ * local.x + y_axis_ * local.y;
  }
  [[nodiscard]] Vec2 to_local(Vec2 pixel) const noexcept {
    return {dot(inverse_x_, pixel - origin_), dot(inverse_y_, pixel - origin_)};
  }
  [[nodiscard]] float pixels_per_unit() const noexcept { return pixels_per_unit_; }
  /// The same frame, mirrored in x, moved by `shift` and turned by `angle` (all in local units,
  /// radians).
  [[nodiscard]] Frame moved(Vec2 shift, float angle = 0.0f, float mirror = 1.0f) const noexcept {
    const float c = std::cos(angle);
    const float s = std::sin(angle);
    const Vec2 x = x_axis_ * mirror;
    const Vec2 origin = origin_ + x * shift.x + y_axis_ * shift.y;
    return {origin, x * c + y_axis_ * s, y_axis_ * c - x * s};
  }

 private:
  Vec2 origin_;
  Vec2 x_axis_;
  Vec2 y_axis_;
  Vec2 inverse_x_{};
  Vec2 inverse_y_{};
  float pixels_per_unit_ = 1.0f;
};

struct Box {  ///< local units
  Vec2 low;
  Vec2 high;
};
constexpr Box around(Vec2 centre, float rx, float ry) noexcept {
  return {centre - Vec2{rx, ry}, centre + Vec2{rx, ry}};
}

/// A picture that shapes are painted on, back to front. Shapes are signed distance functions
/// (negative inside); edges are anti-aliased by their distance in pixels.
class Canvas {
 public:
  explicit Canvas(Colour colour) : pixels_(static_cast<std::size_t>(kSide) * kSide, colour) {}
  [[nodiscard]] Colour& at(int x, int y) noexcept {
    return pixels_[static_cast<std::size_t>(y) * kSide + static_cast<std::size_t>(x)];
  }
  [[nodiscard]] std::vector<Colour>& pixels() noexcept { return pixels_; }

  /// distance(Vec2) -> local units; colour(Vec2) -> Colour; alpha 0..1; softness: width of the edge
  /// in pixels.
  template <class Distance, class Shade>
  void paint(const Frame& frame, Box box, Distance&& distance, Shade&& shade, float alpha = 1.0f,
             float softness = 1.0f) {
    if (alpha <= 0.0f) return;
    const Range range = pixels_of(frame, box, softness);
    const float slope = frame.pixels_per_unit() / softness;
    for (int y = range.y0; y < range.y1; ++y) {
      for (int x = range.x0; x < range.x1; ++x) {
        const Vec2 q = frame.to_local({static_cast<float>(x) + 0.5f, static_cast<float>(y) + 0.5f});
        const float cover = std::clamp(0.5f - distance(q) * slope, 0.0f, 1.0f) * alpha;
        if (cover > 0.0f) at(x, y) = mix(at(x, y), shade(q), cover);
      }
    }
  }

  template <class Distance>
  void fill(const Frame& frame, Box box, Distance&& distance, Colour colour, float alpha = 1.0f,
            float softness = 1.0f) {
    paint(
        frame, box, distance, [colour](Vec2) { return colour; }, alpha, softness);
  }

  /// Multiplies what is there: shadows, blush, freckles.
  template <class Distance>
  void tint(const Frame& frame, Box box, Distance&& distance, Colour factor, float alpha,
            float softness) {
    const Range range = pixels_of(frame, box, softness);
    const float slope = frame.pixels_per_unit() / softness;
    for (int y = range.y0; y < range.y1; ++y) {
      for (int x = range.x0; x < range.x1; ++x) {
        const Vec2 q = frame.to_local({static_cast<float>(x) + 0.5f, static_cast<float>(y) + 0.5f});
        const float cover = std::clamp(0.5f - distance(q) * slope, 0.0f, 1.0f) * alpha;
        if (cover > 0.0f) at(x, y) = at(x, y) * mix({1.0f, 1.0f, 1.0f}, factor, cover);
      }
    }
  }

 private:
  struct Range {
    int x0, x1, y0, y1;
  };
  static Range pixels_of(const Frame& frame, Box box, float softness) noexcept {
    Vec2 low{1e9f, 1e9f};
    Vec2 high{-1e9f, -1e9f};
    for (const Vec2 corner :
         {box.low, Vec2{box.low.x, box.high.y}, Vec2{box.high.x, box.low.y}, box.high}) {
      const Vec2 p = frame.to_pixel(corner);
      low = {std::min(low.x, p.x), std::min(low.y, p.y)};
      high = {std::max(high.x, p.x), std::max(high.y, p.y)};
    }
    const auto pixel = [](float v) {
      return static_cast<int>(std::clamp(v, 0.0f, static_cast<float>(kSide)));
    };
    return {pixel(low.x - softness), pixel(high.x + softness + 1.0f), pixel(low.y - softness),
            pixel(high.y + softness + 1.0f)};
  }

  std::vector<Colour> pixels_;  // [kSide, kSide]
};

/// Approximate signed distance to an ellipse with half axes rx, ry.
inline float ellipse(Vec2 q, float rx, float ry) noexcept {
  const float k0 = length({q.x / rx, q.y / ry});
  const float k1 = length({q.x / (rx * rx), q.y / (ry * ry)});
  return k1 < 1e-6f ? -std::min(rx, ry) : k0 * (k0 - 1.0f) / k1;
}

inline float rounded_box(Vec2 q, float rx, float ry, float corner) noexcept {
  const Vec2 d{std::fabs(q.x) - rx + corner, std::fabs(q.y) - ry + corner};
  return length({std::max(d.x, 0.0f), std::max(d.y, 0.0f)}) + std::min(std::max(d.x, d.y), 0.0f) -
         corner;
}

inline float capsule(Vec2 q, Vec2 a, Vec2 b, float radius) noexcept {
  const Vec2 ab = b - a;
  const float t = std::clamp(dot(q - a, ab) / std::max(dot(ab, ab), 1e-9f), 0.0f, 1.0f);
  return length(q - a - ab * t) - radius;
}

/// A stroke along y = curve(x), |x| <= half, that thins towards its ends by `taper` (0: none, 1: to
/// a point).
template <class Curve>
float stroke(Vec2 q, float half, float thickness, float taper, Curve&& curve) noexcept {
  const float t = std::min(std::fabs(q.x) / half, 1.0f);
  const float r = 0.5f * thickness * (1.0f - taper * t * t);
  return std::max(std::fabs(q.y - curve(q.x)) - r, std::fabs(q.x) - half);
}

}  // namespace diffprob::data::faces
