// Damage to .rec, .idx, property, and to header and identity records.
#include <cmath>

#include "tests/data/check/damage_cases.h"
#include "tests/data/check/damaged_records.h"

namespace diffprob::data::test {
namespace {

auto length(std::uint64_t key, std::int64_t by, unsigned cflag = 0) {
  return [=](RecordFiles& files) {
    files.set_length(
        key, static_cast<std::size_t>(static_cast<std::int64_t>(files.payload(key).size()) + by),
        cflag);
  };
}

auto magic(std::uint64_t key, const std::string& bytes) {
  return [=](RecordFiles& files) { files.overwrite(key, 0, bytes); };
}

auto payload(std::uint64_t key, const std::string& bytes) {
  return [=](RecordFiles& files) {
    files.payload(key) = bytes;
    files.build();
  };
}

auto range(std::uint64_t key, float first, float last) {
  return [=](RecordFiles& files) { files.set_range(key, first, last); };
}

auto property(const std::string& text) {
  return [=](RecordFiles& files) { files.property = text; };
}

auto line(std::uint64_t key, const std::function<std::string(const RecordFiles&)>& text) {
  return [=](RecordFiles& files) { files.replace_line(key, text(files)); };
}

auto moved(std::uint64_t key, std::int64_t by) {
  return line(key, [=](const RecordFiles& files) {
    return std::to_string(key) + "\t" +
           std::to_string(static_cast<std::int64_t>(files.offset(key)) + by) + "\n";
  });
}

/// The image under key 7 in four parts; `edit` gets the offset of the record.
auto split_record(const std::function<void(RecordFiles&, std::size_t)>& edit) {
  return [=](RecordFiles& files) {
    files.set_image(7, with_magic(face_jpeg(40)));
    edit(files, files.offset(7));
  };
}

std::size_t next_magic(const RecordFiles& files, std::size_t from) {
  return files.rec.find(kMagicBytes, from + 4);
}

DamageCase without_index(DamageCase damage) {
  damage.damage = [inner = damage.damage](RecordFiles& files) {
    inner(files);
    files.indexed = false;
  };
  return damage;
}

}  // namespace

std::vector<DamageCase> record_damage() {
  const auto end_offset = std::to_string(RecordFiles::sound().rec.size());
  return {
      {"magic number of the first record flipped", magic(1, "\x0b"), {"record key 1"}},
      {"magic number in the middle zero", magic(6, std::string(4, '\0')), {"record key 6"}},
      {"magic number of the last record", magic(16, "\xff\xff"), {"record key 16"}},
      {"two magic numbers in a row",
       [](auto& f) {
         f.overwrite(6, 0, "x");
         f.overwrite(7, 0, "y");
       },
       {"record key 6", "record key 7"}},
      {"magic number of an identity record", magic(14, "x"), {"record key 14"}},
      {"length 4 too long", length(5, 4), {"record key 5"}},
      {"length that swallows the next record",
       [](auto& f) { f.set_length(5, f.offset(7) - f.offset(5) - 8); },
       {"record key 5"}},
      {"length as large as can be",
       [](auto& f) { f.set_length(9, (1u << 29) - 1); },
       {"record key 9"}},
      {"length 8 too short", length(5, -8), {"record key 5"}},
      {"length 0", [](auto& f) { f.set_length(5, 0); }, {"record key 5"}},
      {"length of the last record too long", length(16, 4), {"record key 16"}},
      {"a whole record marked as first part", length(4, 0, 1), {"record key 4"}},
      {"a whole record marked as middle part", length(4, 0, 2), {"record key 4"}},
      {"a whole record marked as last part", length(4, 0, 3), {"record key 4"}},
      {"continuation flag 5", length(4, 0, 5), {"record key 4"}},
      {"continuation flag of the first record", length(1, 0, 2), {"record key 1"}},
      {"the last record cut off",
       [](auto& f) { f.rec.resize(f.rec.size() - 4); },
       {"record key 16"}},
      {"cut off inside the last head",
       [](auto& f) { f.rec.resize(f.offset(16) + 4); },
       {"record key 16"}},
      {"cut off in the middle",
       [](auto& f) { f.rec.resize(f.offset(12) + 400); },
       {"record key 12", "index key 0", "index key 13", "index key 14", "index key 15",
        "index key 16"}},
      {"4 bytes behind the end", [](auto& f) { f.rec += "junk"; }, {"record offset " + end_offset}},
      {"400 bytes behind the end",
       [](auto& f) { f.rec += std::string(400, 'j'); },
       {"record offset " + end_offset}},
      {"payload without an image header", payload(3, "12345678"), {"record key 3"}},
      {"empty payload", payload(3, ""), {"record key 3"}},
      {"more labels than bytes",
       [](auto& f) { f.overwrite(3, 8, "\xff\xff\xff\xff"); },
       {"record key 3"}},
      {"a header and no image",
       [](auto& f) {
         f.payload(3) = RawRecords::payload(0, 0, 3, {}, "");
         f.build();
       },
       {"record key 3"}},
      {"one label less than there is",
       [](auto& f) { f.overwrite(3, 8, number(1, 4)); },
       {"corrupt key 3"}},
      {"one label more than there is",
       [](auto& f) { f.overwrite(3, 8, number(3, 4)); },
       {"corrupt key 3"}},
      {"a last part marked as a middle part",
       split_record([](auto& f, auto at) {
         const auto last = next_magic(f, next_magic(f, next_magic(f, at)));
         f.rec[last + 7] = static_cast<char>((f.rec[last + 7] & 0x1f) | 0x40);
       }),
       {"record key 7"}},
      {"magic number of a middle part",
       split_record([](auto& f, auto at) { f.rec.replace(next_magic(f, at), 1, "x"); }),
       {"record key 7"}},
      {"length of a middle part",
       split_record([](auto& f, auto at) { f.rec.replace(next_magic(f, at) + 4, 1, "\x05"); }),
       {"record key 7"}},
  };
}

std::vector<DamageCase> layout_damage() {
  return {
      {"property of more classes", property("5,112,112\n"), {"layout"}},
      {"property of far more classes", property("2000000000,112,112\n"), {"layout"}},
      {"property of fewer classes", property("3,112,112\n"), {"layout"}},
      {"property of another size", property("4,96,112\n"), {"layout"}},
      {"property is no number", property("classes\n"), {"layout"}},
      {"property of no classes", property("0,112,112\n"), {"layout"}},
      {"no property", property(""), {}},
      {"header: identities start too late", range(0, 14, 17), {"layout key 0"}},
      {"header: identities start too early", range(0, 12, 17), {"layout key 0"}},
      {"header: last identity", range(0, 13, 18), {"layout key 0"}},
      {"header: not a number", range(0, std::nanf(""), 17), {"layout key 0"}},
      {"header broken", magic(0, "xxxx"), {"record key 0"}},
      {"header missing",
       [](auto& f) {
         std::erase_if(f.records, [](const auto& r) { return r.key == 0; });
         f.build();
       },
       {"layout key 0"}},
      {"identity starts too late", range(14, 5, 7), {"layout key 14"}},
      {"identity starts too early", range(14, 3, 7), {"layout key 14"}},
      {"identity ends too early", range(14, 4, 6), {"layout key 14"}},
      {"identity ends too late", range(14, 4, 10), {"layout key 14"}},
      {"first identity ends too early", range(13, 1, 3), {"layout key 13"}},
      {"last identity ends too late", range(16, 10, 14), {"layout key 16"}},
      {"identity backwards", range(15, 10, 7), {"layout key 15"}},
      {"identity not a number", range(15, std::nanf(""), 10), {"layout key 15"}},
      {"identity record missing",
       [](auto& f) {
         std::erase_if(f.records, [](const auto& r) { return r.key == 15; });
         f.build();
       },
       {"layout key 15"}},
      {"image missing",
       [](auto& f) {
         std::erase_if(f.records, [](const auto& r) { return r.key == 5; });
         f.build();
       },
       {"layout key 5"}},
      {"identity without images",
       [](auto& f) {
         for (auto& record : f.records)
           if (record.key >= 7 && record.key <= 9) record.payload.replace(24, 4, number(1.0f));
         f.set_range(14, 4, 10);
         f.set_range(15, 10, 10);
       },
       {"empty_identity labels 2 to 2"}},
  };
}

std::vector<DamageCase> index_damage() {
  return {
      {"a line of words",
       line(5, [](const auto&) { return "five\tsix\n"; }),
       {"index", "index key 5"}},
      {"a line without an offset",
       line(5, [](const auto&) { return "5\n"; }),
       {"index", "index key 5"}},
      {"a key above 32 bits",
       line(5, [](const auto& f) { return "4294967296\t" + std::to_string(f.offset(5)) + "\n"; }),
       {"index", "index key 5"}},
      {"a negative offset",
       line(5, [](const auto&) { return "5\t-8\n"; }),
       {"index", "index key 5"}},
      {"an offset between records", moved(5, 4), {"index key 5", "index key 5"}},
      {"an offset that is no multiple of 4", moved(5, 1), {"index key 5", "index key 5"}},
      {"an offset behind the end", moved(5, 1 << 20), {"index key 5", "index key 5"}},
      {"a line missing", line(5, [](const auto&) { return ""; }), {"index key 5"}},
      {"the last line missing", line(16, [](const auto&) { return ""; }), {"index key 16"}},
      {"the first line missing", line(1, [](const auto&) { return ""; }), {"index key 1"}},
      {"a line twice",
       line(5, [](const auto& f) { return f.line(5) + f.line(5); }),
       {"index key 5"}},
      {"a key twice",
       line(6, [](const auto& f) { return "5\t" + std::to_string(f.offset(6)) + "\n"; }),
       {"index key 5"}},
      {"an offset twice",
       line(6, [](const auto& f) { return "6\t" + std::to_string(f.offset(5)) + "\n"; }),
       {"index key 6", "index key 6"}},
      {"two keys exchanged",
       [](auto& f) {
         const auto five = f.offset(5), six = f.offset(6);
         f.replace_line(5, "6\t" + std::to_string(five) + "\n");
         f.idx.replace(f.idx.find("6\t" + std::to_string(six)), 1, "5");
       },
       {"index key 5", "index key 6"}},
      {"an image under a far key",
       line(5, [](const auto& f) { return "900\t" + std::to_string(f.offset(5)) + "\n"; }),
       {"index key 900", "index key 900", "layout key 5"}},
      {"an identity record under a far key",
       line(16, [](const auto& f) { return "4294967290\t" + std::to_string(f.offset(16)) + "\n"; }),
       {"index key 4294967290", "layout key 4294967290", "layout key 0", "layout key 16",
        "layout"}},
      {"another id in the record",
       [](auto& f) { f.overwrite(5, 16, number(77, 8)); },
       {"index key 5"}},
      {"cut off",
       [](auto& f) { f.idx.resize(f.idx.find(f.line(15))); },
       {"index key 15", "index key 16"}},
      {"into a part of a split record",
       split_record([](auto& f, auto at) {
         f.replace_line(7, "7\t" + std::to_string(next_magic(f, at)) + "\n");
       }),
       {"index key 7", "index key 7"}},
      {"lines in another order",
       [](auto& f) {
         f.idx = f.line(5) + f.line(16) +
                 f.idx.erase(f.idx.find(f.line(5)), f.line(5).size())
                     .erase(f.idx.find(f.line(16)), f.line(16).size());
       },
       {}},
  };
}

std::vector<DamageCase> damage_without_index() {
  std::vector<DamageCase> cases = {
      {"no .idx", [](auto&) {}, {}},
      {"no .idx, magic number", magic(6, "xxxx"), {"record key 6"}},
      {"no .idx, length too long", length(5, 4), {"record key 5"}},
      {"no .idx, continuation flag", length(4, 0, 5), {"record key 4"}},
      {"no .idx, length far too long",
       [](auto& f) { f.set_length(9, (1u << 29) - 1); },
       {"record key 9"}},
      {"no .idx, the same id twice",
       [](auto& f) { f.overwrite(6, 16, number(5, 8)); },
       {"index key 5", "layout key 6"}},
      {"no .idx, an id above 32 bits",
       [](auto& f) { f.overwrite(6, 16, number(std::uint64_t{1} << 40, 8)); },
       {"index key 4294967295", "index key 4294967295", "layout key 6"}},
      {"no .idx, junk between records",
       [](auto& f) { f.rec.insert(f.offset(8), std::string(40, 'j')); },
       {"record offset " + std::to_string(RecordFiles::sound().offset(8))}},
  };
  for (auto& damage : cases) damage = without_index(damage);
  return cases;
}

std::vector<DamageCase> im2rec_damage() {
  const auto plain = [](RecordFiles& files, const std::vector<float>& labels) {
    files.records.clear();
    for (std::size_t i = 0; i < labels.size(); ++i)
      files.records.push_back(
          {i, RawRecords::payload(0, labels[i], i, {}, face_jpeg(static_cast<int>(i)))});
    files.property = "";
    files.build();
  };
  return {
      {"im2rec",
       [=](auto& f) {
         plain(f, {0, 0, 1, 1, 2});
       },
       {}},
      {"im2rec, keys missing",
       [=](auto& f) {
         plain(f, {0, 0, 1, 1, 2});
         f.records.erase(f.records.begin() + 1);
         f.build();
       },
       {}},
      {"im2rec, a label that nothing has",
       [=](auto& f) {
         plain(f, {0, 0, 1, 1, 4});
       },
       {"empty_identity labels 2 to 3"}},
      {"im2rec, a label far out",
       [=](auto& f) {
         plain(f, {0, 0, 1, 100001, 1});
       },
       {"label key 3"}},
      {"im2rec, label beyond the property",
       [=](auto& f) {
         plain(f, {0, 0, 1, 7, 1});
         f.property = "2,112,112\n";
       },
       {"label key 3"}},
      {"im2rec, property of far more classes",
       [=](auto& f) {
         plain(f, {0, 0, 1, 1, 2});
         f.property = "2000000000,112,112\n";
       },
       {"layout"}},
      {"im2rec, property of more classes",
       [=](auto& f) {
         plain(f, {0, 0, 1, 1, 2});
         f.property = "5,112,112\n";
       },
       {"empty_identity labels 3 to 4"}},
      {"im2rec, an image lost",
       [=](auto& f) {
         plain(f, {0, 0, 1, 1, 2});
         f.payload(3) = RawRecords::payload(2, 0, 3, {1, 1}, "");
         f.build();
       },
       {"record key 3"}},
  };
}

}  // namespace diffprob::data::test
