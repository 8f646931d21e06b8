#include "eval/ijb/loose_crops.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "data/error.h"
#include "data/files/input_file.h"
#include "data/files/worker_threads.h"
#include "eval/ijb/align.h"
#include "model/inference/face_embedder.h"

namespace diffprob::eval {
namespace {

constexpr std::int64_t kMostBytes = std::int64_t{64} << 20U;  // of an image file
constexpr std::int64_t kFaceBytes = std::int64_t{kAlignedSize} * kAlignedSize * 3;

}  // namespace

LooseCrops::LooseCrops(const IjbProtocol& protocol, int threads) : protocol_(protocol) {
  for (int i = 0; i < std::max(threads, 1); ++i) workers_.push_back(std::make_unique<Worker>());
}

bool LooseCrops::read_one(Worker& worker, std::int64_t row, std::uint8_t* out) {
  const std::string name(protocol_.images.name(row));
  std::string problem;
  try {
    data::read_whole_file(protocol_.files.images + "/" + name, kMostBytes, worker.bytes);
    worker.decoder.decode(worker.bytes, worker.image);
    const auto& landmarks = protocol_.images.landmarks[static_cast<std::size_t>(row)];
    if (align_face(worker.image.rgb, worker.image.width, worker.image.height, landmarks,
                   {out, static_cast<std::size_t>(kFaceBytes)}))
      return true;
    problem = name + ": its landmarks are not the five points of a face";
  } catch (const data::DataError& error) {
    const std::string why = error.what();
    problem = why.find(name) == std::string::npos ? name + ": " + why : why;
  }
  const std::lock_guard lock(mutex_);
  if (problems_.size() < kMostProblems) problems_.push_back(problem);
  return false;
}

at::Tensor LooseCrops::read(std::span<const std::int64_t> rows, std::span<std::uint8_t> there,
                            bool pinned) {
  const auto count = static_cast<std::int64_t>(rows.size());
  auto faces = at::zeros({count, kAlignedSize, kAlignedSize, 3},
                         at::TensorOptions(at::kByte).pinned_memory(pinned));
  auto* const bytes = faces.mutable_data_ptr<std::uint8_t>();
  data::parallel_for(0, count, static_cast<int>(workers_.size()), [&](std::int64_t i, int w) {
    const auto at = static_cast<std::size_t>(i);
    Worker& worker = *workers_[static_cast<std::size_t>(w)];
    there[at] = read_one(worker, rows[at], bytes + i * kFaceBytes) ? 1 : 0;
  });
  return faces;
}

ImageFeatures network_features(LooseCrops& crops, model::Backbone& backbone, at::Device device,
                               model::FaceEmbedderOptions options) {
  const auto network = std::make_shared<model::FaceEmbedder>(backbone, device, options);
  const auto read = [&crops, network](std::span<const std::int64_t> rows, std::span<float> features,
                                      std::span<std::uint8_t> there) {
    const auto [straight, mirrored] =
        network->embed_with_mirror(crops.read(rows, there, network->device().is_cuda()));
    const auto both =
        at::stack({straight, mirrored}, 1).to(at::kCPU, at::kFloat).contiguous();  // [b, 2, D]
    TORCH_CHECK(both.numel() == static_cast<std::int64_t>(features.size()),
                "backbone: expected embeddings [", rows.size(), ", ", network->dim(), "], got ",
                straight.sizes());
    const float* const values = both.const_data_ptr<float>();
    std::copy(values, values + both.numel(), features.begin());
  };
  return {network->dim(), 2, read, network->block(), network->batch_of(1)};
}

}  // namespace diffprob::eval
