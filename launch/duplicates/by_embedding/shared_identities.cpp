#include "launch/duplicates/by_embedding/shared_identities.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>

#include "data/files/atomic_file.h"
#include "launch/observe/csv_field.h"

namespace diffprob::launch {
namespace {

std::vector<std::int64_t> images_of_identities(const data::Dataset& dataset) {
  std::vector<std::int64_t> images(static_cast<std::size_t>(dataset.num_classes()), 0);
  for (std::int64_t i = 0; i < dataset.size(); ++i)
    ++images[static_cast<std::size_t>(dataset.label(i))];
  return images;
}

std::string fields(const NamedSet& set, const std::vector<std::int64_t>& images,
                   std::int64_t identity) {
  const auto at = static_cast<std::size_t>(identity);
  return fmt::format("{},{},{}", identity,
                     set.names.names.empty() ? "" : csv_field(set.names.names[at]), images[at]);
}

template <class Side>
std::int64_t different(const std::vector<SharedIdentity>& shared, const Side& side) {
  std::set<std::int64_t> identities;
  for (const SharedIdentity& pair : shared) identities.insert(side(pair));
  return static_cast<std::int64_t>(identities.size());
}

}  // namespace

std::vector<SharedIdentity> shared_identities(const IdentityNames& a, const IdentityNames& b,
                                              const std::vector<eval::IdentityPair>& centres) {
  std::map<std::pair<std::int64_t, std::int64_t>, SharedIdentity> pairs;
  for (const eval::IdentityPair& pair : centres)
    pairs[{pair.a, pair.b}] = {pair.a, pair.b, false, true, pair.cosine};
  std::unordered_multimap<std::string, std::int64_t> of_name;
  for (std::size_t i = 0; i < b.names.size(); ++i)
    if (!b.names[i].empty()) of_name.emplace(b.names[i], static_cast<std::int64_t>(i));
  for (std::size_t i = 0; i < a.names.size(); ++i) {
    if (a.names[i].empty()) continue;
    const auto [begin, end] = of_name.equal_range(a.names[i]);
    for (auto at = begin; at != end; ++at) {
      SharedIdentity& pair = pairs[{static_cast<std::int64_t>(i), at->second}];
      pair.a = static_cast<std::int64_t>(i);
      pair.b = at->second;
      pair.by_name = true;
    }
  }
  std::vector<SharedIdentity> shared;
  for (const auto& [key, pair] : pairs) shared.push_back(pair);
  return shared;
}

std::int64_t different_first(const std::vector<SharedIdentity>& shared) {
  return different(shared, [](const SharedIdentity& pair) { return pair.a; });
}

std::int64_t different_second(const std::vector<SharedIdentity>& shared) {
  return different(shared, [](const SharedIdentity& pair) { return pair.b; });
}

void write_overlap(const std::string& path, const std::vector<SharedIdentity>& shared,
                   const NamedSet& a, const NamedSet& b) {
  const auto images_a = images_of_identities(a.dataset), images_b = images_of_identities(b.dataset);
  data::AtomicFile file(path);
  file.write("identity_a,name_a,images_a,identity_b,name_b,images_b,by,cosine\n");
  for (const SharedIdentity& pair : shared) {
    const char* by = !pair.by_centre ? "name" : pair.by_name ? "both" : "centre";
    file.write(fmt::format("{},{},{},{}\n", fields(a, images_a, pair.a),
                           fields(b, images_b, pair.b), by,
                           pair.by_centre ? fmt::format("{:.4f}", pair.cosine) : ""));
  }
  file.commit();
}

}  // namespace diffprob::launch
