#include "data/sets/image_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/data/test_files.h"

namespace diffprob::data {
namespace {

using test::error_of;
using test::image;
using test::TemporaryFolder;
using ::testing::AllOf;
using ::testing::HasSubstr;

void put(const TemporaryFolder& folder, const std::string& name, const std::string& content) {
  std::filesystem::create_directories(std::filesystem::path(folder / name).parent_path());
  test::write_file(folder / name, content);
}

TEST(ImageFolder, ClassesAndImagesAreSorted) {
  const TemporaryFolder folder;
  put(folder, "bob/2.PNG", "b2");
  put(folder, "bob/10.jpg", "b10");
  put(folder, "alice/z.webp", "az");
  put(folder, "alice/notes.txt", "no image");
  put(folder, "alice/.hidden.jpg", "no image");
  put(folder, ".git/x.jpg", "no class");
  put(folder, "readme.jpg", "not in a class");
  put(folder, "carol/c.JpEg", "c");
  put(folder, "carol/d.bmp", "d");
  const auto set = open_image_folder(folder.path());
  ASSERT_EQ(set->size(), 5);
  EXPECT_EQ(set->num_classes(), 3);
  const std::pair<std::int64_t, std::string> expected[] = {
      {0, "az"}, {1, "b10"}, {1, "b2"}, {2, "c"}, {2, "d"}};
  for (std::int64_t i = 0; i < 5; ++i) {
    EXPECT_EQ(set->label(i), expected[i].first);
    EXPECT_EQ(image(*set, i), expected[i].second);
  }
  EXPECT_EQ(set->describe(1), "bob/10.jpg");
  EXPECT_EQ(set->encoded_bytes(1), std::int64_t{3});
  EXPECT_THROW(static_cast<void>(set->label(5)), DataError);
}

TEST(ImageFolder, ImagesAreToldByEndingOrByContent) {
  using std::string_literals::operator""s;
  const TemporaryFolder folder;
  for (const auto* name : {"a.jfif", "b.JPE", "c.tif", "d.TIFF", "e.webp"})
    put(folder, std::string("x/") + name, name);
  put(folder, "x/f", "\xff\xd8\xff\xe0");
  put(folder, "x/g.1", "\x89PNG\r\n\x1a\n");
  put(folder, "x/h.part", "II*\0"s);
  put(folder, "x/i", "BM is no word of an image");
  put(folder, "x/j.txt", "\xff\xd8\xff\xe0");
  put(folder, "x/k", "");
  const auto set = open_image_folder(folder.path());
  ASSERT_EQ(set->size(), 8);
  EXPECT_EQ(set->describe(0), "x/a.jfif");
  EXPECT_EQ(set->describe(4), "x/e.webp");
  EXPECT_EQ(set->describe(5), "x/f");
  EXPECT_EQ(set->describe(6), "x/g.1");
  EXPECT_EQ(set->describe(7), "x/h.part");
  EXPECT_EQ(set->left_out().count, 3);
}

TEST(ImageFolder, WhatNoReaderTakesIsTold) {
  const TemporaryFolder folder;
  put(folder, "a/1.jpg", "1");
  put(folder, "a/2.jfif_", "2");
  put(folder, "a/more/3.jpg", "3");
  put(folder, "a/.hidden", "4");
  put(folder, "beside.jpg", "5");
  put(folder, "faces.lst", "a list");
  std::filesystem::create_symlink("/nowhere/x.jpg", folder / "a/x.jpg");

  std::vector<std::string> told;
  const auto set = scan_image_folder(folder.path(), [&](const ImageSetProblem& problem) {
    EXPECT_TRUE(problem.left_out);
    told.push_back(problem.message);
  });
  EXPECT_EQ(set->size(), 1);
  EXPECT_THAT(told,
              ::testing::ElementsAre(HasSubstr("beside.jpg: left out, an image beside"),
                                     HasSubstr("2.jfif_: left out, no image by its ending"),
                                     HasSubstr("more: left out, a folder inside"),
                                     HasSubstr("x.jpg: left out, a link that leads nowhere")));
  const auto opened = open_image_folder(folder.path());
  EXPECT_EQ(opened->size(), 1);
  EXPECT_EQ(opened->left_out().count, 4);
  EXPECT_THAT(opened->left_out().first, HasSubstr("beside.jpg: left out"));
}

TEST(ImageFolder, FingerprintDoesNotHoldThePlace) {
  const TemporaryFolder a, b, c;
  for (const auto* folder : {&a, &b, &c}) put(*folder, "x/1.jpg", "one");
  put(c, "x/1.jpg", "longer");
  EXPECT_EQ(open_image_folder(a.path())->fingerprint(), open_image_folder(b.path())->fingerprint());
  EXPECT_NE(open_image_folder(a.path())->fingerprint(), open_image_folder(c.path())->fingerprint());
  put(b, "x/2.jpg", "two");
  EXPECT_NE(open_image_folder(a.path())->fingerprint(), open_image_folder(b.path())->fingerprint());
}

TEST(ImageFolder, ErrorsNameThePlace) {
  const TemporaryFolder folder;
  EXPECT_THAT(error_of([&] { static_cast<void>(open_image_folder(folder.path())); }),
              HasSubstr("sub-folder"));
  put(folder, "empty/readme.txt", "x");
  EXPECT_THAT(error_of([&] { static_cast<void>(open_image_folder(folder.path())); }),
              HasSubstr("empty: a class without images"));
  EXPECT_THROW(static_cast<void>(open_image_folder(folder / "absent")), DataError);
  put(folder, "empty/a.jpg", "");
  const auto set = open_image_folder(folder.path());
  EXPECT_THAT(error_of([&] { static_cast<void>(image(*set, 0)); }), HasSubstr("a.jpg"));
  std::filesystem::remove(folder / "empty/a.jpg");
  EXPECT_THAT(error_of([&] { static_cast<void>(image(*set, 0)); }), HasSubstr("a.jpg"));
}

TEST(ImageList, Im2recKindIsOrderedByIndex) {
  const TemporaryFolder folder;
  put(folder, "a/1.jpg", "one");
  put(folder, "b/2.jpg", "two");
  put(folder, "three.jpg", "three");
  test::write_file(folder / "s.lst",
                   "5\t1.000000\t0.5\tb/2.jpg\r\n0\t0.000000\ta/1.jpg\n\n9\t3\tthree.jpg");
  const auto set = open_image_list(folder / "s.lst");
  ASSERT_EQ(set->size(), 3);
  EXPECT_EQ(set->num_classes(), 4);
  EXPECT_EQ(image(*set, 0), "one");
  EXPECT_EQ(image(*set, 1), "two");
  EXPECT_EQ(image(*set, 2), "three");
  EXPECT_EQ(set->label(0), 0);
  EXPECT_EQ(set->label(1), 1);
  EXPECT_EQ(set->label(2), 3);
}

TEST(ImageList, InsightFaceKind) {
  const TemporaryFolder folder;
  const TemporaryFolder elsewhere;
  put(folder, "a/1.jpg", "one");
  put(elsewhere, "2.jpg", "two");
  test::write_file(folder / "s.lst",
                   "1\ta/1.jpg\t1\n1\t" + (elsewhere / "2.jpg") + "\t0\t1\t2\t3\t4\n");
  const auto set = open_image_list(folder / "s.lst");
  ASSERT_EQ(set->size(), 2);
  EXPECT_EQ(set->num_classes(), 2);
  EXPECT_EQ(image(*set, 0), "one");
  EXPECT_EQ(image(*set, 1), "two");
  EXPECT_EQ(set->label(0), 1);
  EXPECT_EQ(set->label(1), 0);
}

TEST(ImageList, BadLinesAreNamed) {
  const TemporaryFolder folder;
  const std::pair<std::string, std::string> cases[] = {
      {"", "lists no images"},
      {"0\t0\ta.jpg\n1\ta.jpg\n", "line 2"},
      {"0\t0\ta.jpg\n1\t-1\ta.jpg\n", "line 2: label -1"},
      {"0\t0.5\ta.jpg\n", "line 1: label 0.5"},
      {"0\tnan\ta.jpg\n", "line 1: label nan"},
      {"0\t3000000000\ta.jpg\n", "line 1: label 3000000000"},
      {"0\t0\ta.jpg\n0\t0\tb.jpg\n", "index 0 appears twice"},
      {"x\t0\ta.jpg\n", "line 1: index x"},
      {"nan\t0\ta.jpg\n", "line 1: index nan"},
      {"0\t1\tbad\ta.jpg\n", "line 1: label bad"},
      {"0\t1\t2\n", "line 1"},
      {"0\t1\t\n", "line 1"},
      {"1\ta.jpg\t0\n2\t0\ta.jpg\n", "line 2: not the same kind"},
      {"0\ta.jpg\t0\n", "line 1: a face that is not aligned"},
      {"2\ta.jpg\t0\n", "line 1: aligned must be"},
      {"1\tab\tx\n", "line 1: expected index<TAB>label<TAB>path"},
      {"1\ta.jpg\tx.jpg\n", "which field is the path"},
      {"0 1\n", "two numbers and no path"},
      {"a.jpg\n", "found 1 field"},
      {"a.jpg 0\nb.jpg x\n", "line 2: label x"},
      {"a.jpg 0\n0 a.jpg\n", "line 2: not the same kind"},
      {"a.jpg 0 2 0\nb.jpg 2\n", "line 2: not the same kind"},
  };
  for (const auto& [content, message] : cases) {
    test::write_file(folder / "s.lst", content);
    EXPECT_THAT(error_of([&] { static_cast<void>(open_image_list(folder / "s.lst")); }),
                HasSubstr(message))
        << content;
  }
}

struct Form {
  std::string content;
  std::vector<std::int64_t> labels = {0, 1, 0};
};

/// The same three images in every form that people have.
TEST(ImageList, FormsOfOtherProjects) {
  const TemporaryFolder folder;
  put(folder, "a/1.jpg", "one");
  put(folder, "b c/2.jpg", "two");
  put(folder, "3.jpg", "three");
  const Form forms[] = {
      {"a/1.jpg 0\nb c/2.jpg 1\n3.jpg 0\n"},
      {"a/1.jpg\t0\nb c/2.jpg\t1\n3.jpg\t0\n"},
      {"0\ta/1.jpg\n1\tb c/2.jpg\n0\t3.jpg\n"},
      {"a/1.jpg 0 0 0\nb c/2.jpg 0 1 0\n3.jpg 0 0 0\n"},
      {"1\ta/1.jpg\t0\n1\tb c/2.jpg\t1\n1\t3.jpg\t0\n"},
      {"2\t0\t3.jpg\n1\t1\tb c/2.jpg\n0\t0\ta/1.jpg\n"},
      {"0\t0\ta\\1.jpg\r\n1\t1\tb c\\2.jpg\r\n2\t0\t3.jpg\r\n"},
      {"\xEF\xBB\xBF"
       "0\t0\ta/1.jpg\n1\t1\tb c/2.jpg\n2\t0\t3.jpg\n"},
      {"0\tzoe\ta/1.jpg\n1\tada\tb c/2.jpg\n2\tzoe\t3.jpg\n", {1, 0, 1}},
      {"1\ta/1.jpg\tzoe\n1\tb c/2.jpg\tada\n1\t3.jpg\tzoe\n", {1, 0, 1}},
      {"a/1.jpg\tzoe\nb c/2.jpg\tada\n3.jpg\t7\n", {2, 1, 0}},
  };
  for (const auto& form : forms) {
    test::write_file(folder / "s.lst", form.content);
    const auto set = open_image_list(folder / "s.lst");
    ASSERT_EQ(set->size(), 3) << form.content;
    const std::string images[] = {"one", "two", "three"};
    for (std::int64_t i = 0; i < 3; ++i) {
      EXPECT_EQ(set->label(i), form.labels[static_cast<std::size_t>(i)]) << form.content;
      EXPECT_EQ(image(*set, i), images[i]) << form.content;
    }
  }
}

TEST(ImageList, ImagesBelowAnotherRoot) {
  const TemporaryFolder folder;
  put(folder, "faces/a/1.jpg", "one");
  put(folder, "lists/s.lst", "0\t0\ta/1.jpg\n");
  const auto lost = open_image_list(folder / "lists/s.lst");
  EXPECT_THAT(error_of([&] { image(*lost, 0); }),
              AllOf(HasSubstr("lists/a/1.jpg: does not exist"), HasSubstr("--data.root=FOLDER")));
  EXPECT_THAT(error_of([&] { static_cast<void>(lost->fingerprint()); }), HasSubstr("data.root"));

  const auto set = open_image_list(folder / "lists/s.lst", folder / "faces");

  EXPECT_EQ(image(*set, 0), "one");
  put(folder, "faces/s.lst", "0\t0\ta/1.jpg\n");
  EXPECT_EQ(set->fingerprint(), open_image_list(folder / "faces/s.lst")->fingerprint());
}

TEST(ImageList, FilesWithBackSlashesInTheirNamesKeepThem) {
  const TemporaryFolder folder;
  put(folder, "a\\1.jpg", "one");
  put(folder, "s.lst", "0\t0\ta\\1.jpg\n");
  EXPECT_EQ(image(*open_image_list(folder / "s.lst"), 0), "one");
}

/// Lists come from others and may name anything.
TEST(ImageList, NamedPipesAreNotWaitedFor) {
  const TemporaryFolder folder;
  ASSERT_EQ(::mkfifo((folder / "pipe.jpg").c_str(), 0600), 0);
  put(folder, "faces.lst", "0\t0\tpipe.jpg\n");
  const auto set = open_image_list(folder / "faces.lst");

  EXPECT_THAT(error_of([&] { image(*set, 0); }),
              AllOf(HasSubstr("pipe.jpg"), HasSubstr("not a regular file")));
}

TEST(ImageList, EveryTruncationIsSafe) {
  const TemporaryFolder folder;
  const std::string content = "0\t0\ta/1.jpg\n1\t1\tb/2.jpg\n2\t1\tb/3.jpg\n";
  for (std::size_t length = 0; length < content.size(); ++length) {
    test::write_file(folder / "s.lst", content.substr(0, length));
    try {
      const auto set = open_image_list(folder / "s.lst");
      EXPECT_LE(set->size(), 3);
      EXPECT_LE(set->num_classes(), 2);
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), HasSubstr("s.lst"));
    }
  }
}

}  // namespace
}  // namespace diffprob::data
