#include "eval/page/page_style.h"

namespace diffprob::eval {

std::string_view page_style() {
  // Text has at least 4.5:1, lines and areas at least 3:1 against their ground, in both schemes. No
  // character that XML would escape.
  return R"css(
:root { color-scheme: light dark; --ground: #ffffff; --panel: #f5f7fa; --ink: #1b2430; --soft: #55606e; --rule: #d5dbe3;
  --link: #0b57a4; --good: #0a6b3d; --bad: #a3271c;
  --s0: #1f66b8; --s1: #c2460e; --s2: #157a4e; --s3: #8a3fa0; --s4: #8a6a00; --s5: #5b6573; }
@media (prefers-color-scheme: dark) { :root { --ground: #12171e; --panel: #1b222c; --ink: #e7ecf2; --soft: #a5b0bd; --rule: #36404d;
  --link: #7db8f5; --good: #5fd39a; --bad: #ff9a8c;
  --s0: #6cb0f5; --s1: #ff9857; --s2: #52cf94; --s3: #d69be8; --s4: #e3c04a; --s5: #a5b0bd; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1240px; padding: 0 20px 60px; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 28px 0 6px; }
h2 { font-size: 1.3rem; margin: 44px 0 10px; padding-top: 12px; border-top: 2px solid var(--rule); }
h3 { font-size: 1.05rem; margin: 24px 0 8px; overflow-wrap: anywhere; }
h4 { font-size: 0.95rem; margin: 16px 0 6px; }
p { margin: 8px 0; max-width: 78ch; overflow-wrap: anywhere; }
a { color: var(--link); }
nav ul { list-style: none; margin: 12px 0; padding: 0; display: flex; flex-wrap: wrap; gap: 4px 18px; }
.lead, .note, figcaption, .soft { color: var(--soft); }
.note { font-size: 0.9rem; }
ul.notes { padding-left: 20px; }
ul.notes li { overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); gap: 12px; margin: 16px 0; }
.tile { background: var(--panel); border-radius: 8px; padding: 10px 14px; }
.tile b { display: block; font-size: 1.45rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: 0.85rem; }
.scroll { overflow-x: auto; margin: 10px 0; }
table { border-collapse: collapse; min-width: min(100%, 40rem); font-size: 0.92rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); font-size: 0.88rem; padding: 0 0 6px; }
th, td { padding: 5px 12px 5px 0; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; vertical-align: top; }
th { font-weight: 600; }
th[scope=row], td.words, th.words { text-align: left; }
td.wrap { white-space: normal; overflow-wrap: anywhere; text-align: left; min-width: 9em; }
thead th { border-bottom: 2px solid var(--rule); vertical-align: bottom; }
td small { color: var(--soft); font-size: 0.82rem; }
.good { color: var(--good); font-weight: 600; }
.bad { color: var(--bad); font-weight: 600; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 18px 22px; margin: 12px 0; }
.runs { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); gap: 0 32px; }
.runs article, .plots figure { min-width: 0; }
figure { margin: 0; }
figcaption { font-size: 0.92rem; font-weight: 600; margin-bottom: 2px; overflow-wrap: anywhere; }
figure.plot { max-width: 620px; }
figure.plot svg { width: 100%; height: auto; display: block; }
figure.bar { margin: 12px 0; }
figure.bar svg { width: 100%; height: 22px; display: block; border-radius: 4px; }
svg text { fill: var(--ink); font-size: 12px; font-family: inherit; }
svg text.tick, svg text.axis-label { fill: var(--soft); }
svg text.marker-label { fill: var(--ink); font-weight: 600; paint-order: stroke; stroke: var(--ground); stroke-width: 4px; }
svg .grid { stroke: var(--rule); stroke-width: 1; }
svg .axis { stroke: var(--soft); stroke-width: 1.2; }
svg .marker { stroke: var(--ink); stroke-width: 1.3; stroke-dasharray: 2 3; }
svg .line { fill: none; stroke-width: 2.2; stroke-linejoin: round; }
svg .thin { stroke-width: 1.1; opacity: 0.75; }
svg .dashed { stroke-dasharray: 7 4; }
svg .bar { stroke-width: 1.4; opacity: 0.8; }
svg .area { stroke: none; opacity: 0.18; }
.s0 { stroke: var(--s0); } .s1 { stroke: var(--s1); } .s2 { stroke: var(--s2); } .s3 { stroke: var(--s3); } .s4 { stroke: var(--s4); } .s5 { stroke: var(--s5); }
.area.s0, .fill.s0, .dot.s0 { fill: var(--s0); } .area.s1, .fill.s1, .dot.s1 { fill: var(--s1); } .area.s2, .fill.s2, .dot.s2 { fill: var(--s2); }
.area.s3, .fill.s3, .dot.s3 { fill: var(--s3); } .area.s4, .fill.s4, .dot.s4 { fill: var(--s4); } .area.s5, .fill.s5, .dot.s5 { fill: var(--s5); }
.fill { stroke: none; }
ul.legend { list-style: none; margin: 4px 0 0; padding: 0; display: flex; flex-wrap: wrap; gap: 2px 16px; font-size: 0.87rem; }
ul.legend li { overflow-wrap: anywhere; }
.key { display: inline-block; width: 20px; border-top: 4px solid; vertical-align: middle; margin-right: 6px; }
.key.dashed { border-top-style: dashed; }
.b0 { border-color: var(--s0); } .b1 { border-color: var(--s1); } .b2 { border-color: var(--s2); } .b3 { border-color: var(--s3); } .b4 { border-color: var(--s4); } .b5 { border-color: var(--s5); }
.sheet { display: flex; flex-wrap: wrap; gap: 10px; margin: 8px 0; }
.group { display: flex; gap: 4px; padding: 5px; background: var(--panel); border-radius: 8px; flex-wrap: wrap; }
.face { width: 86px; font-size: 0.75rem; line-height: 1.3; text-align: center; }
.face img, .face .none { width: 86px; height: 86px; object-fit: cover; display: block; border-radius: 5px; border: 3px solid var(--s2); }
.face.pruned { width: 76px; }
.face.pruned img, .face.pruned .none { width: 70px; height: 70px; margin: 0 auto; border-color: var(--s4); border-style: dashed; }
.face.cleaned img, .face.cleaned .none { border-color: var(--s1); border-style: double; border-width: 4px; }
.face .none { color: var(--soft); padding-top: 24px; background: var(--panel); }
.face figcaption { font-size: inherit; font-weight: 400; color: var(--ink); }
details { margin: 10px 0; }
summary { cursor: pointer; color: var(--link); }
pre { background: var(--panel); padding: 12px; border-radius: 8px; overflow-x: auto; font-size: 0.82rem; line-height: 1.4; }
code { overflow-wrap: anywhere; }
@media (max-width: 520px) { body { padding: 0 14px 40px; font-size: 15px; } h1 { font-size: 1.4rem; }
  .tiles { grid-template-columns: 1fr 1fr; } .tile b { font-size: 1.2rem; } .face, .face img, .face .none { width: 74px; } .face img, .face .none { height: 74px; }
  svg text { font-size: 15px; } caption { max-width: calc(100vw - 28px); } th[scope=row] { white-space: normal; }
  td small { display: inline-block; white-space: normal; max-width: 9em; } }
@media print { body { max-width: none; } details[open] summary { display: none; } h2 { break-after: avoid; } figure { break-inside: avoid; } }
)css";
}

}  // namespace diffprob::eval
