// Faces by their own kernel: its threads, run one after the other on the host, and the kernel
// itself on a GPU, against LibTorch's operators bit by bit; and that networks take the padded
// pixels.
#include <gtest/gtest.h>
#include <torch/types.h>

#include "model/input/gpu_ops.h"
#include "model/input/normalize.h"
#include "model/input/threads.h"
#include "model/networks/backbone.h"
#include "tests/support/test_device.h"

namespace diffprob::model {
namespace {

constexpr std::int64_t kImages = 6;

/// Images with every byte among them, and which of them become faces, mirrored or not.
struct Case {
  explicit Case(std::int64_t side)
      : images(at::arange(kImages * side * side * 3).mul(37).remainder(256).to(at::kByte)) {
    images = images.view({kImages, side, side, 3});
  }
  /// What LibTorch makes of it: [b, channels, side, side] on the CPU.
  [[nodiscard]] at::Tensor wanted(at::ScalarType type, std::int64_t channels, bool with_rows,
                                  bool with_flips) const {
    at::Tensor chosen = with_rows ? images.index_select(0, rows) : images;
    if (with_flips)
      chosen = at::where(flips_of(with_rows).ne(0).view({-1, 1, 1, 1}), chosen.flip(2), chosen);
    return at::constant_pad_nd(normalize_faces(chosen.contiguous(), at::kCPU).to(type),
                               {0, 0, 0, 0, 0, channels - 3});
  }
  [[nodiscard]] at::Tensor flips_of(bool with_rows) const {
    return with_rows ? flips.narrow(0, 0, rows.size(0)) : flips;
  }

  at::Tensor images;  // [kImages, side, side, 3]
  at::Tensor rows = at::tensor({5, 0, 0, 3}, at::kLong);
  at::Tensor flips = at::tensor({1, 0, 1, 1, 0, 255}, at::kByte);
};

/// body(type, channels, with_rows, with_flips)
template <class Body>
void for_all_options(const Body& body) {
  for (const auto type : {at::kFloat, at::kHalf, at::kBFloat16}) {
    for (const std::int64_t channels : {3, 4, 8}) {
      for (const bool with_rows : {false, true}) {
        for (const bool with_flips : {false, true}) {
          SCOPED_TRACE(c10::str(type, ", ", channels, " channels", with_rows ? ", rows" : "",
                                with_flips ? ", flips" : ""));
          body(type, channels, with_rows, with_flips);
        }
      }
    }
  }
}

template <class T, int kChannels>
at::Tensor by_threads(const Case& c, bool with_rows, bool with_flips) {
  const std::int64_t side = c.images.size(1);
  const std::int64_t count = with_rows ? c.rows.size(0) : kImages;
  const gpu::FaceImages from = {c.images.const_data_ptr<std::uint8_t>(),
                                with_rows ? c.rows.const_data_ptr<std::int64_t>() : nullptr,
                                with_flips ? c.flips.const_data_ptr<std::uint8_t>() : nullptr,
                                static_cast<int>(side)};
  const at::Tensor faces =
      at::full({count, side, side, kChannels}, NAN, c10::CppTypeToScalarType<T>::value);
  for (std::int64_t face = 0; face < count; ++face) {
    for (int pixel = 0; pixel < side * side; ++pixel) {
      T* const to = faces.mutable_data_ptr<T>() + (face * side * side + pixel) * kChannels;
      gpu::thread::write_face_pixel<T, kChannels>(gpu::thread::face_source(from, face, pixel), to);
    }
  }
  return faces.permute({0, 3, 1, 2});
}

template <class T>
at::Tensor by_threads(std::int64_t channels, const Case& c, bool with_rows, bool with_flips) {
  if (channels == 8) return by_threads<T, 8>(c, with_rows, with_flips);
  return channels == 4 ? by_threads<T, 4>(c, with_rows, with_flips)
                       : by_threads<T, 3>(c, with_rows, with_flips);
}

TEST(Faces, ThreadsMakeWhatLibTorchMakes) {
  for (const std::int64_t side : {1, 5, 13, 112}) {
    const Case c(side);
    for_all_options([&](at::ScalarType type, std::int64_t channels, bool with_rows,
                        bool with_flips) {
      const at::Tensor found =
          type == at::kHalf       ? by_threads<c10::Half>(channels, c, with_rows, with_flips)
          : type == at::kBFloat16 ? by_threads<c10::BFloat16>(channels, c, with_rows, with_flips)
                                  : by_threads<float>(channels, c, with_rows, with_flips);
      EXPECT_TRUE(at::equal(found, c.wanted(type, channels, with_rows, with_flips)))
          << "side " << side;
    });
  }
}

TEST(Faces, KernelMakesWhatLibTorchMakes) {
  const at::Device device = tests::test_device();
  if (!device.is_cuda()) GTEST_SKIP() << "no GPU asked for (DIFFPROB_TEST_DEVICE=cuda)";
  for (const std::int64_t side : {1, 5, 13, 112}) {
    const Case c(side);
    const at::Tensor images = c.images.to(device);
    ASSERT_TRUE(gpu::has_faces(images));
    for_all_options(
        [&](at::ScalarType type, std::int64_t channels, bool with_rows, bool with_flips) {
          gpu::FaceOptions options{type, channels, {}, {}};
          if (with_rows) options.rows = c.rows.to(device);
          if (with_flips) options.flips = c.flips_of(with_rows).to(device);
          const at::Tensor found = gpu::make_faces(images, options);
          EXPECT_TRUE(found.is_contiguous(at::MemoryFormat::ChannelsLast));
          EXPECT_TRUE(at::equal(found.cpu(), c.wanted(type, channels, with_rows, with_flips)))
              << "side " << side;
        });
    EXPECT_THROW((void)gpu::make_faces(images, {at::kDouble, 8, {}, {}}), c10::Error);
    EXPECT_THROW((void)gpu::make_faces(images, {at::kHalf, 5, {}, {}}), c10::Error);
    EXPECT_THROW((void)gpu::make_faces(images, {at::kHalf, 8, c.rows, {}}),
                 c10::Error);  // rows on the host
    EXPECT_THROW(
        (void)gpu::make_faces(images, {at::kHalf, 8, {}, c.flips.to(device).narrow(0, 0, 2)}),
        c10::Error);
  }
}

TEST(Faces, KernelIsForImagesOnAGpuAlone) {
  const Case c(5);
  EXPECT_FALSE(gpu::has_faces(c.images));
  EXPECT_THROW((void)gpu::make_faces(c.images, {}), c10::Error);
}

/// Embeddings, and the gradient of the first convolution's weight.
std::pair<at::Tensor, at::Tensor> trained_on(const std::string& name, const at::Tensor& faces) {
  const auto net = make_backbone({.name = name, .embedding_dim = 32, .dropout = 0.0});
  net->to(faces.device(), faces.scalar_type());
  net->train();
  const at::Tensor embeddings = net->forward(faces);
  embeddings.backward(
      at::linspace(-1, 1, embeddings.numel(), embeddings.options().requires_grad(false))
          .view_as(embeddings));
  return {embeddings.detach(), net->parameters().front().grad()};
}

TEST(Faces, NetworksTakePaddedPixels) {
  const at::Device device = tests::test_device();
  // In float64 no sum's rounding moves a value to the other side of a PReLU; the GPU's batch norm
  // kernels are for float32.
  const auto type = device.is_cpu() ? at::kDouble : at::kFloat;
  const double tolerance = device.is_cpu() ? 1e-9 : 2e-2;
  auto generator = at::make_generator<at::CPUGeneratorImpl>(5);
  const at::Tensor images = at::randint(0, 256, {4, 112, 112, 3}, generator, at::kByte);
  const at::Tensor faces = normalize_faces(images, device).to(type);
  for (const char* name : {"tiny", "mobilefacenet"}) {
    const auto [embeddings, gradient] = trained_on(name, faces);
    ASSERT_EQ(gradient.size(1), 3);
    for (const std::int64_t channels : {4, 8}) {
      const auto [padded, padded_gradient] =
          trained_on(name, at::constant_pad_nd(faces, {0, 0, 0, 0, 0, channels - 3}));
      ASSERT_EQ(padded_gradient.sizes(), gradient.sizes());
      EXPECT_LE((padded - embeddings).abs().max().item<double>(),
                tolerance * embeddings.abs().max().item<double>())
          << name;
      EXPECT_LE((padded_gradient - gradient).abs().max().item<double>(),
                tolerance * gradient.abs().max().item<double>())
          << name;
    }
    EXPECT_THROW((void)trained_on(name, at::constant_pad_nd(faces, {0, 0, 0, 0, 0, 2})),
                 c10::Error);
  }
}

}  // namespace
}  // namespace diffprob::model
