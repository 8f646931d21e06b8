#include "data/synthetic/painter.h"

namespace diffprob::data::faces {

void FacePainter::marks() {
  for (int i = 0; i < face_.num_spots; ++i) {
    const Spot& spot = face_.spots[static_cast<std::size_t>(i)];
    const Box box = around({0.0f, 0.0f}, spot.radius, spot.radius);
    canvas_.tint(
        pose_.on_face(spot.at), box, [&](Vec2 q) { return length(q) - spot.radius; },
        {0.52f, 0.36f, 0.30f}, spot.strength, 1.2f);
  }
  const float smiling = std::max(0.0f, sample_.smile);
  for (const float side : {-1.0f, 1.0f}) {
    const Frame fold = pose_.on_face({side * (face_.nose.width + 0.14f), 0.52f})
                           .moved({0.0f, 0.0f}, -side * 1.05f);
    const auto curve = [side](float x) { return -side * 0.9f * x * x; };
    canvas_.tint(
        fold, around({0.0f, 0.0f}, 0.24f, 0.12f),
        [&](Vec2 q) { return stroke(q, 0.2f, 0.03f, 0.8f, curve); }, shadow(1.0f),
        std::min(0.75f, 0.55f * face_.folds + 0.3f * smiling), 2.2f);
  }
}

void FacePainter::nose() {
  const Nose& nose = face_.nose;
  const float tip_y = face_.eye.y + nose.length;
  const float lit = sample_.light.x > 0.0f ? 1.0f : -1.0f;
  const Frame bridge = pose_.on_face({0.0f, face_.eye.y + 0.42f * nose.length}, 0.08f);
  const float half = 0.34f * nose.length;
  const auto flank = [&](Vec2 q) {
    return capsule(q, {-lit * nose.width * 0.42f, -half}, {-lit * nose.width * 0.55f, half},
                   0.035f);
  };
  canvas_.tint(bridge, around({0.0f, 0.0f}, 0.2f, 0.3f), flank, shadow(1.0f),
               0.25f + 0.5f * nose.bridge, 5.0f);
  const auto ridge = [&](Vec2 q) { return capsule(q, {0.0f, -half}, {0.0f, half}, 0.025f); };
  canvas_.tint(bridge, around({0.0f, 0.0f}, 0.1f, 0.3f), ridge, {1.25f, 1.23f, 1.22f},
               0.35f + 0.4f * nose.bridge, 4.0f);

  const Frame tip = pose_.on_face({0.0f, tip_y}, 0.20f);
  const Box box = around({0.0f, 0.0f}, nose.width + 0.1f, 0.26f);
  canvas_.tint(
      tip, box,
      [&](Vec2 q) {
        return ellipse(q - Vec2{0.0f, 0.5f * nose.tip}, nose.width * 1.02f, nose.tip * 0.75f);
      },
      shadow(0.8f), 0.5f, 4.0f);
  canvas_.fill(
      tip, box,
      [&](Vec2 q) {
        return ellipse(q - Vec2{0.0f, -0.02f}, nose.tip * 1.1f, nose.tip);
      },
      face_.skin, 0.8f, 4.0f);
  canvas_.tint(
      tip, box,
      [&](Vec2 q) {
        return ellipse(q - Vec2{0.02f * lit, -0.04f}, 0.035f, 0.03f);
      },
      {1.25f, 1.25f, 1.25f}, 0.8f, 3.0f);
  for (const float side : {-1.0f, 1.0f}) {
    const auto wing = [&](Vec2 q) {
      return std::max(std::fabs(ellipse(q - Vec2{side * 0.68f * nose.width, 0.01f},
                                        0.34f * nose.width, 0.075f)) -
                          0.012f,
                      -side * q.x + 0.7f * nose.width);
    };
    canvas_.tint(tip, box, wing, shadow(1.0f), 0.8f, 1.6f);
    const auto hole = [&](Vec2 q) {
      return ellipse(q - Vec2{side * 0.48f * nose.width, 0.62f * nose.tip + 0.012f}, nose.nostril,
                     nose.nostril * 0.55f);
    };
    canvas_.tint(tip, box, hole, {0.22f, 0.14f, 0.13f}, 0.85f, 1.3f);
  }
}

void FacePainter::open_mouth(const Frame& frame, float half, float gap, float corner) {
  const auto shape = [&](float x) { return 1.0f - (x / half) * (x / half); };
  const auto inside = [&](Vec2 q) {
    const float middle = corner * (1.0f - shape(q.x));
    return std::max(std::fabs(q.y - middle - 0.4f * gap) - 0.5f * gap * shape(q.x),
                    std::fabs(q.x) - half);
  };
  const Box box = around({0.0f, 0.1f}, half, gap + 0.2f);
  canvas_.fill(frame, box, inside, {0.20f, 0.07f, 0.07f});
  const auto teeth = [&](Vec2 q) {
    return std::max(inside(q) + 0.012f, q.y - corner * (1.0f - shape(q.x)) - 0.22f * gap - 0.03f);
  };
  canvas_.fill(frame, box, teeth, {0.94f, 0.92f, 0.87f});
  const auto tongue = [&](Vec2 q) {
    return std::max(inside(q) + 0.02f,
                    ellipse(q - Vec2{0.0f, 0.85f * gap}, 0.5f * half, 0.3f * gap + 0.02f));
  };
  canvas_.fill(frame, box, tongue, {0.72f, 0.32f, 0.32f});
}

void FacePainter::mouth() {
  const Mouth& mouth = face_.mouth;
  const float half = mouth.width * (1.0f + 0.16f * sample_.smile);
  const float corner = -0.085f * sample_.smile;  // corners up: y points down
  const float gap = 0.30f * sample_.open;
  const Frame frame = pose_.on_face({0.0f, mouth.y + 0.25f * gap}, 0.06f);
  const auto arc = [&](float x) { return std::max(0.0f, 1.0f - (x / half) * (x / half)); };
  const auto middle = [&](float x) { return corner * (1.0f - arc(x)); };
  const Box box = around({0.0f, 0.05f}, half + 0.03f, mouth.lower + gap + 0.25f);
  const auto upper = [&](Vec2 q) {
    const float dip = mouth.bow * 0.035f * std::exp(-q.x * q.x * 400.0f);
    const float top =
        middle(q.x) - 0.10f * gap * arc(q.x) - mouth.upper * std::sqrt(arc(q.x)) + dip;
    return std::max({top - q.y, q.y - middle(q.x) - 0.01f, std::fabs(q.x) - half});
  };
  const auto lower = [&](Vec2 q) {
    const float bottom =
        middle(q.x) + 0.9f * gap * arc(q.x) + mouth.lower * std::sqrt(arc(q.x)) * arc(q.x);
    return std::max({middle(q.x) - q.y, q.y - bottom, std::fabs(q.x) - half});
  };
  canvas_.tint(
      frame, box,
      [&](Vec2 q) {
        return ellipse(q - Vec2{0.0f, mouth.lower + 0.9f * gap + 0.06f}, 0.6f * half, 0.035f);
      },
      shadow(0.9f), 0.7f, 3.5f);
  canvas_.fill(frame, box, upper, mouth.colour * 0.90f, 0.95f, 1.3f);
  canvas_.fill(frame, box, lower, mouth.colour, 0.95f, 1.3f);
  if (gap > 0.04f) {
    open_mouth(frame, half * 0.9f, gap, corner);
  } else {
    canvas_.tint(
        frame, box, [&](Vec2 q) { return stroke(q, half * 1.04f, 0.026f, 0.3f, middle); },
        {0.38f, 0.22f, 0.22f}, 0.9f, 1.4f);
  }
  canvas_.tint(
      frame, box,
      [&](Vec2 q) {
        return ellipse(q - Vec2{0.0f, 0.45f * mouth.lower + 0.9f * gap}, 0.4f * half, 0.012f);
      },
      {1.25f, 1.22f, 1.22f}, 0.6f, 2.5f);
}

void FacePainter::eyes() {
  for (const float side : {-1.0f, 1.0f}) {
    eye(side);
    brow(side);
  }
}

void FacePainter::eye(float side) {
  const Eye& eye = face_.eye;
  // Local x points outwards on both sides.
  const Frame frame =
      pose_.on_face({side * eye.distance, eye.y}).moved({0.0f, 0.0f}, eye.tilt, side);
  canvas_.tint(
      frame, around({0.0f, 0.0f}, 0.4f, 0.25f),
      [&](Vec2 q) { return ellipse(q, eye.width * 1.15f, 0.13f); }, shadow(0.8f), 0.5f, 7.0f);
  const float open = eye.open * std::clamp(sample_.lids, 0.0f, 1.2f);
  const auto arc = [&](float x) {
    return std::max(0.0f, 1.0f - (x / eye.width) * (x / eye.width));
  };
  if (open > 0.02f) eyeball(frame, open);
  const auto upper = [&](float x) {
    return 0.35f * eye.open - (open + 0.35f * eye.open) * arc(x) * (1.0f - 0.35f * x);
  };
  const Box box = around({0.0f, 0.0f}, eye.width * 1.15f, 0.25f);
  canvas_.fill(
      frame, box, [&](Vec2 q) { return stroke(q, eye.width * 1.08f, 0.042f, 0.3f, upper); },
      face_.hair.colour * 0.25f, 0.9f, 1.2f);
  const auto crease = [&](float x) { return upper(x) - 0.07f; };
  canvas_.tint(
      frame, box, [&](Vec2 q) { return stroke(q, eye.width * 0.95f, 0.022f, 0.6f, crease); },
      shadow(1.0f), 0.9f * eye.crease, 1.6f);
  const auto bag = [&](float x) { return 0.35f * eye.open + 0.05f + 0.05f * arc(x); };
  canvas_.tint(
      frame, box, [&](Vec2 q) { return stroke(q, eye.width * 0.9f, 0.025f, 0.8f, bag); },
      shadow(1.0f), 0.35f + 0.3f * face_.folds, 2.2f);
}

void FacePainter::eyeball(const Frame& frame, float open) {
  const Eye& eye = face_.eye;
  const auto arc = [&](float x) {
    return std::max(0.0f, 1.0f - (x / eye.width) * (x / eye.width));
  };
  const auto lens = [&](Vec2 q) {
    const float top =
        0.35f * eye.open - (open + 0.35f * eye.open) * arc(q.x) * (1.0f - 0.35f * q.x);
    const float bottom = 0.35f * eye.open + 0.45f * eye.open * arc(q.x);
    return std::max({top - q.y, q.y - bottom, std::fabs(q.x) - eye.width});
  };
  const Box box = around({0.0f, 0.0f}, eye.width, 0.22f);
  canvas_.fill(frame, box, lens, {0.93f, 0.91f, 0.89f});
  const Vec2 centre{0.08f * sample_.gaze, 0.0f};
  const auto disc = [&](float radius) {
    return
        [&lens, centre, radius](Vec2 q) { return std::max(lens(q), length(q - centre) - radius); };
  };
  canvas_.fill(frame, box, disc(eye.iris), eye.iris_colour * 0.62f);
  canvas_.fill(frame, box, disc(eye.iris * 0.80f), eye.iris_colour);
  canvas_.fill(frame, box, disc(eye.iris * 0.42f), {0.04f, 0.03f, 0.03f});
  canvas_.fill(
      frame, box,
      [&](Vec2 q) {
        return std::max(lens(q), length(q - centre - Vec2{0.02f, -0.03f}) - 0.018f);
      },
      {1.0f, 1.0f, 1.0f}, 0.9f);
}

void FacePainter::brow(float side) {
  const Brow& brow = face_.brow;
  const float y = face_.eye.y - brow.height - 0.07f * sample_.brows;
  const Frame frame = pose_.on_face({side * (face_.eye.distance + 0.01f), y})
                          .moved({0.0f, 0.0f}, brow.tilt - 0.08f * sample_.brows, side);
  const auto curve = [&](float x) {
    return -brow.arch * (1.0f - (x / brow.length) * (x / brow.length));
  };
  const Colour colour = mix(face_.hair.colour * 0.8f, face_.skin, 0.12f);
  canvas_.fill(
      frame, around({0.0f, 0.0f}, brow.length, 0.15f),
      [&](Vec2 q) { return stroke(q, brow.length, brow.thickness, 0.75f, curve); }, colour, 0.88f,
      1.6f);
}

void FacePainter::lens_pair(float width, float height, float corner, float thickness, Colour colour,
                            float fill) {
  for (const float side : {-1.0f, 1.0f}) {
    const Frame frame = pose_.on_face({side * face_.eye.distance, face_.eye.y + 0.03f}, 0.08f);
    const Box box = around({0.0f, 0.0f}, width + 0.1f, height + 0.1f);
    const auto rim = [&](Vec2 q) {
      return rounded_box(q, width, height, std::min(corner, height));
    };
    if (fill > 0.0f) canvas_.fill(frame, box, rim, colour, fill);
    canvas_.fill(
        frame, box, [&](Vec2 q) { return std::fabs(rim(q)) - thickness; }, colour);
    canvas_.fill(
        frame, {{-1.0f, -0.2f}, {1.0f, 0.2f}},
        [&](Vec2 q) {
          return capsule({q.x * side, q.y}, {width, -0.06f}, {width + 0.35f, -0.09f}, thickness);
        },
        colour);
  }
  const Frame middle = pose_.on_face({0.0f, face_.eye.y}, 0.16f);
  const float inner = std::max(0.03f, face_.eye.distance - width);
  canvas_.fill(
      middle, around({0.0f, 0.0f}, inner + 0.05f, 0.1f),
      [&](Vec2 q) {
        return stroke(q, inner + 0.03f, 2.0f * thickness, 0.0f, [](float) { return 0.0f; });
      },
      colour);
}

void FacePainter::glasses() {
  const Glasses& glasses = face_.glasses;
  if (!glasses.worn || sample_.without_glasses || sample_.occluder == Occluder::kSunglasses) return;
  lens_pair(glasses.width, glasses.height, glasses.corner, 0.5f * glasses.thickness, glasses.colour,
            0.0f);
}

void FacePainter::hand(const Frame& frame) {
  const Colour skin = face_.skin * 0.93f;
  const Box box{{-1.6f, -1.2f}, {1.6f, 2.4f}};
  canvas_.fill(
      frame, box,
      [](Vec2 q) {
        return rounded_box(q - Vec2{0.0f, 0.62f}, 0.42f, 0.5f, 0.25f);
      },
      skin);
  for (int finger = 0; finger < 4; ++finger) {
    const float x = -0.32f + 0.215f * static_cast<float>(finger);
    const float top = -0.42f - (finger == 1 || finger == 2 ? 0.14f : 0.0f);
    canvas_.fill(
        frame, box,
        [&](Vec2 q) {
          return capsule(q, {x, 0.4f}, {x * 1.25f, top}, 0.10f);
        },
        skin * (finger % 2 == 0 ? 0.95f : 1.0f));
  }
}

void FacePainter::mask() {
  const Frame frame = pose_.on_face({0.0f, 0.66f}, 0.15f);
  const auto cloth = [&](Vec2 q) {
    return std::max({outline_.distance(head_.to_local(frame.to_pixel(q))) - 0.03f,
                     -0.36f + 0.12f * q.x * q.x - q.y, q.y - 0.62f});
  };
  const auto pleats = [&](Vec2 q) {
    return sample_.occluder_colour * (0.92f + 0.08f * std::cos(q.y * 26.0f));
  };
  canvas_.paint(frame, {{-1.4f, -0.6f}, {1.4f, 0.9f}}, cloth, pleats);
}

void FacePainter::occluder() {
  const Frame spot = head_.moved(sample_.occluder_at, sample_.occluder_angle);
  switch (sample_.occluder) {
    case Occluder::kSunglasses:
      lens_pair(0.34f, 0.25f, 0.14f, 0.02f, sample_.occluder_colour * 0.25f, 0.94f);
      break;
    case Occluder::kBar:
      canvas_.fill(
          spot, {{-4.0f, -0.3f}, {4.0f, 0.3f}}, [](Vec2 q) { return std::fabs(q.y) - 0.24f; },
          sample_.occluder_colour);
      break;
    case Occluder::kHand:
      hand(spot);
      break;
    case Occluder::kMask:
      mask();
      break;
    case Occluder::kNone:
      break;
  }
}

}  // namespace diffprob::data::faces
