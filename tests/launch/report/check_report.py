"""check_report.py FILE [TEXT ...]: FILE is a well-formed, self-contained and accessible report that contains every TEXT.
Prints what it holds, one "name count" a line."""
import html.parser
import re
import sys
import xml.etree.ElementTree

path, wanted = sys.argv[1], sys.argv[2:]
data = open(path, "rb").read()
text = data.decode("utf-8")
problems = []


def need(condition, what):
    if not condition:
        problems.append(what)


need(len(data) < 5_000_000, f"{len(data)} bytes")
doctype = "<!DOCTYPE html>\n"
need(text.startswith(doctype), "no doctype")
root = xml.etree.ElementTree.fromstring(text[len(doctype):])  # raises when it is not well-formed


class AsHtml(html.parser.HTMLParser):
    """What a lenient reader makes of it must have the same elements."""

    def __init__(self):
        super().__init__()
        self.tags = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)


lenient = AsHtml()
lenient.feed(text)
need(lenient.tags == [element.tag.lower() for element in root.iter()], "HTML and XML readers see different elements")

ids = [element.get("id") for element in root.iter() if element.get("id")]
need(len(ids) == len(set(ids)), "an id twice")
for element in root.iter():
    need(element.tag not in ("script", "link", "iframe", "object", "embed", "base", "form"), f"<{element.tag}>")
    for name, value in element.attrib.items():
        need(not name.lower().startswith("on"), f"attribute {name}")
        if name in ("src", "srcset", "data", "action", "poster"):
            need(re.match(r"data:image/(jpeg|png|gif|webp);base64,[A-Za-z0-9+/]+=*$", value), f"{name}={value[:60]}")
        if name.endswith("href"):
            need(value.startswith("#") and value[1:] in ids, f"href={value}")
        if name in ("aria-labelledby", "aria-describedby"):
            need(all(part in ids for part in value.split()), f"{name}={value}")
    if element.tag == "svg":
        need(element.get("role") == "img", "svg without role")
        need(all((element.findtext(part) or "").strip() for part in ("title", "desc")), "svg without title or description")
        need(not re.search(r"nan|inf", " ".join(v for e in element.iter() for k, v in e.attrib.items() if k in
             ("d", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "transform"))), "svg with a coordinate that is no number")
    if element.tag == "img":
        need((element.get("alt") or "").strip(), "img without alt")
    if element.tag == "table":
        need((element.findtext("caption") or "").strip() and element.find("thead/tr/th") is not None, "table without caption or heads")
for style in root.iter("style"):
    need(not re.search(r"url\(|@import|expression", style.text), "style with references")
shown = " ".join("".join(root.find("body").itertext()).split())
for part in wanted:
    need(part in shown, f"the page does not say: {part}")

if problems:
    sys.exit(path + ":\n  " + "\n  ".join(sorted(set(problems))[:20]))
count = lambda condition: sum(1 for element in root.iter() if condition(element))
print("bytes", len(data))
print("sections", count(lambda e: e.tag == "h2"))
print("plots", count(lambda e: e.tag == "svg"))
print("tables", count(lambda e: e.tag == "table"))
print("faces", count(lambda e: e.tag == "img"))
