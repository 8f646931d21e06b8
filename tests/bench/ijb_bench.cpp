// IJB-C of the real size, synthetic: mpirun -np W ijb_bench FOLDER [SHARE]. Makes FOLDER/meta
// (469,375 images, 23,124 templates, 15,658,489 pairs of which 19,557 genuine, 1:N lists; SHARE <
// 1: that share of the templates) unless it is there. Features are random, seeded, 512 numbers an
// image, made when they are asked for, as a network would. Prints JSON: wall seconds of the slowest
// rank for reading the protocol, for 1:1 (pooling, scores, ROC), and for 1:1 with 1:N; peak memory
// of each rank from the start of the program.
#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "data/files/atomic_file.h"
#include "data/random/keyed_random.h"
#include "dist/mpi/environment.h"
#include "eval/ijb/ijb.h"

namespace {

using namespace diffprob;

constexpr std::int64_t kDim = 512;

struct Sizes {
  std::int64_t gallery, probes, images, pairs, genuine;
  explicit Sizes(double share)
      : gallery(std::llround(3531 * share)),
        probes(std::llround(19593 * share)),
        images(std::llround(469375 * share)),
        pairs(std::llround(15658489 * share)),
        genuine(std::llround(19557 * share)) {}
};

/// Gallery template g is of subject g; probe p, template gallery + p, of some subject.
std::int64_t subject_of(std::int64_t t, const Sizes& sizes) {
  if (t < sizes.gallery) return t;
  return static_cast<std::int64_t>(data::splitmix64(static_cast<std::uint64_t>(t)) %
                                   static_cast<std::uint64_t>(sizes.gallery));
}

void write_images(const std::string& meta, const Sizes& sizes) {
  const std::int64_t templates = sizes.gallery + sizes.probes;
  data::KeyedRandom random(1);
  std::vector<std::int64_t> count(static_cast<std::size_t>(templates), 1);
  for (std::int64_t i = templates; i < sizes.images; ++i) {
    const double v = random.uniform();
    ++count[static_cast<std::size_t>(v * v * static_cast<double>(templates))];
  }
  data::AtomicFile media(meta + "/ijbc_face_tid_mid.txt"),
      points(meta + "/ijbc_name_5pts_score.txt");
  std::int64_t image = 0;
  for (std::int64_t t = 0; t < templates; ++t) {
    for (std::int64_t i = 0; i < count[static_cast<std::size_t>(t)]; ++i) {
      const std::string name = std::to_string(++image) + ".jpg";
      // A few frames of each video, as there: about 10 images a media id.
      media.write(name + " " + std::to_string(t + 1) + " " + std::to_string(t * 7 + i / 10) + "\n");
      points.write(name +
                   " 38.294 51.696 73.531 51.501 56.025 71.736 41.549 92.365 70.729 92.204 0.9" +
                   std::to_string(image % 1000) + "\n");
    }
  }
  media.commit();
  points.commit();
}

void write_pairs(const std::string& meta, const Sizes& sizes) {
  data::AtomicFile file(meta + "/ijbc_template_pair_label.txt");
  data::KeyedRandom random(2);
  const auto line = [&](std::int64_t g, std::int64_t p, int label) {
    file.write(std::to_string(g + 1) + " " + std::to_string(sizes.gallery + p + 1) + " " +
               std::to_string(label) + "\n");
  };
  std::int64_t genuine = 0;
  const std::int64_t every = sizes.pairs / sizes.genuine;
  for (std::int64_t i = 0; i < sizes.pairs; ++i) {
    if (i % every == 0 && genuine < sizes.genuine) {
      line(subject_of(sizes.gallery + genuine, sizes), genuine, 1);
      ++genuine;
      continue;
    }
    const auto p =
        static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(sizes.probes)));
    auto g = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(sizes.gallery)));
    if (g == subject_of(sizes.gallery + p, sizes)) g = (g + 1) % sizes.gallery;
    line(g, p, 0);
  }
  file.commit();
}

void write_lists(const std::string& meta, const Sizes& sizes) {
  const auto write = [&](const std::string& name, std::int64_t begin, std::int64_t end) {
    data::AtomicFile file(meta + "/" + name);
    file.write("TEMPLATE_ID,SUBJECT_ID,FILENAME\n");
    for (std::int64_t t = begin; t < end; ++t)
      file.write(std::to_string(t + 1) + "," + std::to_string(subject_of(t, sizes)) + ",x.jpg\n");
    file.commit();
  };
  write("ijbc_1N_gallery_G1.csv", 0, sizes.gallery / 2);
  write("ijbc_1N_gallery_G2.csv", sizes.gallery / 2, sizes.gallery);
  write("ijbc_1N_probe_mixed.csv", sizes.gallery, sizes.gallery + sizes.probes);
}

/// h(subject) + 4 h(image), h uniform in [-1, 1).
eval::ImageFeatures random_features(const eval::IjbProtocol& protocol, const Sizes& sizes) {
  const auto fill = [](std::uint64_t key, float scale, std::span<float> out) {
    for (std::size_t i = 0; i < out.size(); i += 4) {  // four numbers of 16 bits a hash
      std::uint64_t bits = data::splitmix64(key + i);
      for (std::size_t k = i; k < i + 4; ++k, bits >>= 16U)
        out[k] += scale * (static_cast<float>(bits & 0xFFFFU) * 0x1p-15F - 1);
    }
  };
  const auto read = [&protocol, sizes, fill](std::span<const std::int64_t> rows,
                                             std::span<float> features,
                                             std::span<std::uint8_t> there) {
    std::fill(features.begin(), features.end(), 0.0F);
    std::fill(there.begin(), there.end(), std::uint8_t{1});
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const auto subject =
          subject_of(protocol.images.template_id[static_cast<std::size_t>(rows[i])] - 1, sizes);
      const auto out = features.subspan(i * kDim, kDim);
      fill(data::combine_key(10, static_cast<std::uint64_t>(subject)), 1, out);
      fill(data::combine_key(11, static_cast<std::uint64_t>(rows[i])), 4, out);
    }
  };
  return {kDim, 1, read};
}

double peak_mib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::atof(line.c_str() + 6) / 1024;
  }
  return 0;
}

/// Wall seconds of the slowest rank.
double seconds(dist::HostCollectives& control, const std::function<void()>& work) {
  control.barrier("before");
  const auto start = std::chrono::steady_clock::now();
  work();
  const std::chrono::duration<double> own = std::chrono::steady_clock::now() - start;
  return control.all_reduce(own.count(), dist::ReduceOp::kMax);
}

nlohmann::ordered_json to_json(const eval::IjbVariantResult& v) {
  nlohmann::ordered_json tar;
  for (const auto& row : v.tar)
    tar.push_back({{"far", row.far_target}, {"tar", row.tar}, {"tar_nearest", row.tar_nearest}});
  nlohmann::ordered_json identification;
  for (const auto& r : v.identification)
    identification.push_back(
        {{"gallery", r.gallery}, {"rank1", r.rank1}, {"tpir_open_0.01", r.tpir[0].open_set}});
  return {{"variant", v.variant.name()}, {"genuine", v.genuine},
          {"impostors", v.impostors},    {"auc", v.auc},
          {"tar_at_far", tar},           {"1:N", identification}};
}

int run(const std::string& folder, double share) {
  dist::HostCollectives control({std::chrono::minutes(10), std::chrono::minutes(10)});
  at::set_num_threads(1);
  const Sizes sizes(share);
  const std::string meta = folder + "/meta";
  if (control.rank() == 0 && !std::filesystem::exists(meta + "/ijbc_1N_probe_mixed.csv")) {
    std::filesystem::create_directories(meta);
    write_images(meta, sizes);
    write_pairs(meta, sizes);
    write_lists(meta, sizes);
  }
  control.barrier("files made");
  eval::IjbProtocol protocol;
  const double reading =
      seconds(control, [&] { protocol = eval::read_ijb_protocol(folder, control); });
  const auto features = random_features(protocol, sizes);
  eval::IjbOptions options;
  options.variants = {{false, true, true}};
  auto without_lists = protocol;
  without_lists.probes.reset();
  eval::IjbResult result;
  const double verification = seconds(
      control, [&] { result = eval::evaluate_ijb(without_lists, features, options, control); });
  without_lists = {};
  const auto peak = control.all_gather(peak_mib());
  const double both =
      seconds(control, [&] { result = eval::evaluate_ijb(protocol, features, options, control); });
  const auto peak_with_lists = control.all_gather(peak_mib());
  if (control.rank() != 0) return 0;
  const nlohmann::ordered_json json = {{"images", result.images},
                                       {"templates", result.templates},
                                       {"pairs", result.pairs},
                                       {"dim", kDim},
                                       {"world_size", control.world_size()},
                                       {"device", "cpu, 1 thread a rank"},
                                       {"read_protocol_s", reading},
                                       {"pool_score_roc_s", verification},
                                       {"total_1_to_1_s", reading + verification},
                                       {"peak_mib_of_ranks", peak},
                                       {"with_1_to_n_s", reading + both},
                                       {"peak_with_1_to_n_mib_of_ranks", peak_with_lists},
                                       {"result", to_json(result.variants[0])}};
  std::printf("%s\n", json.dump(1).c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  dist::MpiEnvironment mpi(&argc, &argv);
  const double share = argc > 2 ? std::atof(argv[2]) : 1;
  if (argc < 2 || !(share > 0.001 && share <= 1)) {
    std::fprintf(stderr, "usage: ijb_bench FOLDER [SHARE]\n");
    return 2;
  }
  try {
    return run(argv[1], share);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ijb_bench: %s\n", error.what());
    mpi.abort(1);
  }
}
