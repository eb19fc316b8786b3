/** How the pages look: in light, in the dark, on paper and on a telephone. */
export const reportStyle = `
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1c2126; --quiet: #5a6470; --rule: #d9dee3; --faint: #eef1f4; --panel: #f6f8fa;
  --good: #17693a; --good-back: #e4f4ea; --bad: #a8201a; --bad-back: #fdeaea;
  --open: #7a4b00; --open-back: #fdf1dc; --seen: #1f5fa8; --area: #1f5fa826; --wanted: #5a6470;
  --bar: #7b3f98; --bar-ink: #ffffff; --band: #7b3f9814; --hatch: #5a647066;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14181c; --ink: #e6eaee; --quiet: #a0abb6; --rule: #343c45; --faint: #20262c; --panel: #1b2026;
    --good: #7fd6a0; --good-back: #14301f; --bad: #ff9c94; --bad-back: #3d1715;
    --open: #f2c777; --open-back: #36280d; --seen: #74b0f4; --area: #74b0f433; --wanted: #a0abb6;
    --bar: #c79be0; --bar-ink: #14181c; --band: #c79be01c; --hatch: #a0abb666;
  }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 20px 16px 48px; max-width: 1072px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
h1 { font-size: 22px; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 16px; margin: 32px 0 8px; }
p { margin: 0 0 8px; overflow-wrap: anywhere; }
a { color: var(--seen); }
.about, .quiet { color: var(--quiet); }
.verdict { display: flex; gap: 14px; align-items: flex-start; margin: 16px 0; padding: 14px 16px; border-radius: 8px;
  border: 1px solid; }
.verdict .mark { font-size: 30px; line-height: 1; font-weight: 700; }
.verdict .word { font-size: 22px; line-height: 1.2; font-weight: 700; margin: 0; }
.verdict p, .verdict ul { margin: 2px 0 0; color: var(--ink); }
.verdict ul { padding-left: 18px; overflow-wrap: anywhere; }
.verdict > div { min-width: 0; }
.good { color: var(--good); } .bad { color: var(--bad); } .open { color: var(--open); }
.verdict.good { background: var(--good-back); } .verdict.bad { background: var(--bad-back); }
.verdict.open { background: var(--open-back); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(132px, 1fr)); gap: 8px; margin: 0; }
.figures > div { background: var(--panel); border-radius: 8px; padding: 8px 12px; }
.figures dt { color: var(--quiet); font-size: 13px; }
.figures dd { margin: 0; font-size: 18px; white-space: nowrap; font-weight: 600; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--quiet); padding: 0 0 4px; }
th, td { text-align: left; vertical-align: top; padding: 5px 10px 5px 0; border-bottom: 1px solid var(--rule); }
th { font-weight: 600; color: var(--quiet); font-size: 13px; }
tbody th { color: inherit; font-size: inherit; }
td { overflow-wrap: anywhere; }
.n { text-align: right; white-space: nowrap; overflow-wrap: normal; }
.n + :not(.n) { padding-left: 14px; }
.state { white-space: nowrap; font-weight: 600; }
tr.why td { padding-top: 0; }
tr.has-why > * { border-bottom: 0; }
.why li { white-space: pre-wrap; }
.why ul { margin: 0; padding: 8px 12px 8px 26px; background: var(--bad-back); border-radius: 6px;
  font: 13px/1.45 ui-monospace, "Liberation Mono", Menlo, Consolas, monospace; }
.scrolls { overflow-x: auto; }
pre, code { font: 13px/1.45 ui-monospace, "Liberation Mono", Menlo, Consolas, monospace; }
pre { background: var(--panel); border-radius: 6px; padding: 10px 12px; margin: 4px 0 8px; white-space: pre-wrap;
  overflow-wrap: anywhere; }
summary { cursor: pointer; padding: 3px 0; }
.chart { display: block; width: 100%; height: auto; font-family: inherit; }
.chart.narrow { display: none; }
.chart text { fill: var(--ink); paint-order: stroke; stroke: var(--paper); stroke-width: 3px; stroke-linejoin: round; }
.chart .bar-name.inside { stroke: none; }
.chart .lane { fill: var(--ink); } .chart .tick, .chart .panel-note { fill: var(--quiet); }
.chart .panel-name, .chart .moment-name { font-weight: 600; }
.chart .rule { stroke: var(--rule); } .chart .rule.faint { stroke: var(--faint); }
.chart .axis { stroke: var(--quiet); }
.chart .band { fill: var(--band); }
.chart .moment { stroke: var(--good); stroke-width: 1.5; stroke-dasharray: 2 3; }
.chart .moment-name { fill: var(--good); }
.chart .bar { fill: var(--bar); } .chart .bar-name.inside { fill: var(--bar-ink); }
.chart .line { fill: none; stroke-width: 1.6; stroke-linejoin: round; stroke-linecap: round; }
.chart .seen { stroke: var(--seen); } .chart .area { fill: var(--area); }
.chart .wanted { stroke: var(--wanted); stroke-dasharray: 5 4; stroke-linecap: butt; }
.chart .hatch { stroke: var(--hatch); stroke-width: 2; }
.chart .ended { stroke: var(--bad); stroke-width: 2.5; fill: none; }
.spark { display: block; width: 150px; height: 26px; }
.spark .line { fill: none; stroke: var(--seen); stroke-width: 1.3; } .spark .bar { fill: var(--bar); }
@media (max-width: 640px) {
  body { padding: 14px 14px 40px; }
  .chart.wide { display: none; } .chart.narrow { display: block; }
  .figures { grid-template-columns: 1fr 1fr; }
  .hide-narrow { display: none; }
}
@media print {
  :root { --paper: #fff; --ink: #000; --quiet: #444; --panel: #f4f4f4; --rule: #bbb; --faint: #e6e6e6;
    --good: #17693a; --good-back: #fff; --bad: #a8201a; --bad-back: #fff; --open: #7a4b00; --open-back: #fff;
    --seen: #1f5fa8; --area: #1f5fa826; --wanted: #444; --bar: #7b3f98; --bar-ink: #fff; --band: #7b3f9814;
    --hatch: #4446; }
  body { max-width: none; padding: 0; font-size: 11pt; }
  .chart.wide { display: block; } .chart.narrow { display: none; }
  .chart, .bar, .band, .verdict, .figures > div { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .verdict, .figures, .chart, tr, pre { break-inside: avoid; }
  details:not([open]) { display: none; }
}
`;
