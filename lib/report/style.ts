/** The page's style: two palettes, one column on a phone. Series colours are s0, s1, … of lines, bars and labels. */
export const STYLE: string = `
:root { color-scheme: light dark; --bg: #fbfbfd; --card: #fff; --text: #1c1f26; --soft: #5d6472; --line: #e3e6ec; --code: #f1f3f7;
  --c0: #d9622b; --c1: #2563eb; --c2: #15925a; --c3: #a13fb8; --c4: #b58a00; --c5: #0f8fa8; --c6: #8a8f99; }
@media (prefers-color-scheme: dark) { :root { --bg: #14161b; --card: #1d2027; --text: #e8eaef; --soft: #9aa2b1; --line: #31353f; --code: #262a33;
  --c0: #ff9361; --c1: #7aa7ff; --c2: #5fd39b; --c3: #dc92ee; --c4: #e6c04a; --c5: #5ccbe0; --c6: #9aa0ab; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--bg); color: var(--text); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 24px 16px 64px; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 4px; letter-spacing: -0.01em; }
h2 { font-size: 1.15rem; margin: 40px 0 8px; }
p { margin: 6px 0; max-width: 72ch; } .soft { color: var(--soft); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 14px; }
.lead { display: flex; flex-wrap: wrap; gap: 16px; align-items: flex-start; margin-top: 16px; } .lead > div { flex: 1 1 280px; }
.lead > .training { flex: 0 0 auto; } .training img { width: 192px; } img { display: block; border-radius: 8px; background: var(--code); max-width: 100%; height: auto; }
img.small { image-rendering: pixelated; }
.key { display: inline-flex; align-items: center; gap: 6px; margin-right: 16px; white-space: nowrap; } .key i { width: 12px; height: 12px; border-radius: 3px; }
.rows { display: grid; gap: 12px; grid-template-columns: repeat(auto-fill, minmax(min(100%, 330px), 1fr)); }
.row h3 { font-size: 0.95rem; margin: 0 0 8px; font-weight: 600; } .cells { display: flex; gap: 10px; }
.cell { flex: 1 1 0; min-width: 0; } .cell span { font-size: 0.78rem; color: var(--soft); display: block; margin-bottom: 4px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.cell img { width: 100%; margin-bottom: 6px; border-top: 3px solid transparent; }
.charts { display: grid; gap: 12px; grid-template-columns: repeat(auto-fill, minmax(min(100%, 330px), 1fr)); }
.chart { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 12px; }
.chart figcaption { font-size: 0.9rem; font-weight: 600; margin-bottom: 4px; } svg { width: 100%; height: auto; display: block; }
svg text { font: 13px system-ui, sans-serif; fill: var(--soft); } svg .grid { stroke: var(--line); } svg .rule { stroke: var(--soft); stroke-dasharray: 4 4; }
svg polyline { fill: none; stroke-width: 2; stroke-linejoin: round; }
${[0, 1, 2, 3, 4, 5, 6].map((i) => `polyline.s${i} { stroke: var(--c${i}); } rect.s${i}, circle.s${i} { fill: var(--c${i}); } i.s${i} { background: var(--c${i}); } img.s${i} { border-top-color: var(--c${i}) !important; }`).join('\n')}
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: 0.92rem; font-variant-numeric: tabular-nums; width: 100%; }
th, td { text-align: right; padding: 6px 10px; border-bottom: 1px solid var(--line); white-space: nowrap; } th:first-child, td:first-child { text-align: left; }
table.settings { width: auto; min-width: 50%; } th { font-weight: 600; color: var(--soft); } tr.differs td:first-child { font-weight: 600; }
pre { background: var(--code); border-radius: 8px; padding: 10px 12px; white-space: pre-wrap; overflow-wrap: anywhere; font-size: 0.85rem; margin: 6px 0 14px; }
footer { margin-top: 48px; color: var(--soft); font-size: 0.85rem; }
`;
