#include "eval/neighbours/block_matches.h"

#include <algorithm>

#include "data/files/worker_threads.h"
#include "eval/neighbours/row_products.h"

namespace diffprob::eval {
namespace {

constexpr std::int64_t kStrip = 96;   // rows of `a` in a task; with kPanel rows of `b` in a core's
constexpr std::int64_t kPanel = 192;  // second cache
constexpr std::int64_t kProductsAThread = std::int64_t{1} << 16;  // a thread takes 20 us to start

struct Strip {
  const RowBlock& a;
  const RowBlock& b;
  BlockPairs which;
  float least;

  void find(std::int64_t begin, std::int64_t end, std::vector<float>& products,
            std::vector<BlockMatch>& out) const {
    products.resize(static_cast<std::size_t>((end - begin) * std::min(kPanel, b.rows)));
    const bool ascending = which == BlockPairs::kAscending;
    const std::int64_t stride = a.stride;
    for (std::int64_t first = ascending ? begin + 1 : 0; first < b.rows; first += kPanel) {
      const std::int64_t columns = std::min(kPanel, b.rows - first);
      row_products(a.values + begin * stride, end - begin, b.values + first * stride, columns,
                   stride, products.data());
      for (std::int64_t r = begin; r < end; ++r) {
        const float* const of_row = products.data() + (r - begin) * columns;
        for (std::int64_t c = ascending ? std::max<std::int64_t>(0, r + 1 - first) : 0; c < columns;
             ++c)
          if (of_row[c] >= least)
            out.push_back(
                {static_cast<std::int32_t>(r), static_cast<std::int32_t>(first + c), of_row[c]});
      }
    }
  }
};

}  // namespace

void find_matches(const RowBlock& a, const RowBlock& b, BlockPairs which, float least, int threads,
                  std::vector<BlockMatch>& out) {
  const Strip strip{a, b, which, least};
  const std::int64_t strips = (a.rows + kStrip - 1) / kStrip;
  const int useful = static_cast<int>(
      std::clamp<std::int64_t>(a.rows * b.rows / kProductsAThread, 1, std::max(1, threads)));
  std::vector<std::vector<BlockMatch>> found(static_cast<std::size_t>(strips));
  std::vector<std::vector<float>> products(static_cast<std::size_t>(useful));
  data::parallel_for(0, strips, useful, [&](std::int64_t s, int worker) {
    strip.find(s * kStrip, std::min(a.rows, (s + 1) * kStrip),
               products[static_cast<std::size_t>(worker)], found[static_cast<std::size_t>(s)]);
  });
  for (const auto& of_strip : found) out.insert(out.end(), of_strip.begin(), of_strip.end());
}

}  // namespace diffprob::eval
