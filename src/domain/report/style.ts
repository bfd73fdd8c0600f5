/**
 * The page's colours: for each name a light and a dark one. Every text colour has a contrast of at least 4.5 to 1
 * on every surface that it stands on; a test measures it.
 */
export const PALETTE = {
  page: ['#f6f7f9', '#0f1318'],
  card: ['#ffffff', '#171c23'],
  sunken: ['#eef1f4', '#1f262f'],
  line: ['#d9dee4', '#2c3540'],
  text: ['#1a2029', '#e6eaf0'],
  soft: ['#505b68', '#a3afbd'],
  link: ['#0b5cad', '#7cb8f5'],
  red: ['#a8201a', '#ff9a92'],
  redSurface: ['#fdecea', '#3a1a1a'],
  amber: ['#7a4d00', '#f2c063'],
  amberSurface: ['#fdf3dc', '#33270f'],
  green: ['#17663a', '#7ad6a0'],
  greenSurface: ['#e5f5ec', '#12301f'],
  size: ['#2f6fb3', '#6aa9e9'],
  time: ['#7a5bb0', '#b49be0'],
  tierYearly: ['#5b3fa3', '#c0a6ff'],
  tierMonthly: ['#2f6fb3', '#6aa9e9'],
  tierWeekly: ['#0f7d7d', '#5fcaca'],
  tierDaily: ['#2f8554', '#7ad6a0'],
  tierLast: ['#5d6b7a', '#94a3b4'],
  tierNone: ['#8a95a1', '#6f7c8a'],
} as const satisfies Record<string, readonly [light: string, dark: string]>;
export type ColorName = keyof typeof PALETTE;

/** Text colours and what they stand on. */
export const TEXT_ON: readonly (readonly [text: ColorName, surface: ColorName])[] = [
  ...(['page', 'card', 'sunken'] as const).flatMap((surface) =>
    (['text', 'soft', 'link', 'red', 'amber', 'green'] as const).map(
      (text) => [text, surface] as const,
    ),
  ),
  ...(['red', 'amber', 'green'] as const).flatMap((level) => [
    [level, `${level}Surface`] as const,
    ['text', `${level}Surface`] as const,
    ['soft', `${level}Surface`] as const,
  ]),
];

function variables(index: 0 | 1): string {
  return Object.entries(PALETTE)
    .map(([name, colors]) => `--${name}:${colors[index]}`)
    .join(';');
}

/** Shared by the report and the local pages. No font and no image is loaded. */
export const STYLE = `
:root{color-scheme:light dark;${variables(0)}}
@media (prefers-color-scheme:dark){:root{${variables(1)}}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth;scroll-padding-top:1rem}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}*{animation:none!important;transition:none!important}}
body{margin:0;background:var(--page);color:var(--text);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;font-variant-numeric:tabular-nums}
main,header.top,footer{max-width:72rem;margin:0 auto;padding:0 1.25rem}
header.top{display:flex;flex-wrap:wrap;gap:.25rem 1rem;align-items:baseline;padding-top:1.25rem;padding-bottom:.75rem}
header.top h1{font-size:1rem;font-weight:600;margin:0;letter-spacing:.01em}
header.top p,footer{color:var(--soft);font-size:.85rem}
header.top p{margin-left:auto}
h2{font-size:1.15rem;line-height:1.3;margin:0;font-weight:650}
h3{font-size:.95rem;line-height:1.35;margin:0 0 .5rem;font-weight:650}
h4{font-size:.8rem;margin:0 0 .25rem;font-weight:600;color:var(--soft)}
p{margin:0}
a{color:var(--link);text-underline-offset:.15em}
a:focus-visible,summary:focus-visible,[tabindex]:focus-visible{outline:2px solid var(--link);outline-offset:2px;border-radius:3px}
bdi,code,.wrap{overflow-wrap:anywhere}
code{font:.88em/1.4 ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace}
.skip{position:absolute;left:-99rem}
.skip:focus{left:1rem;top:.5rem;background:var(--card);padding:.25rem .5rem;z-index:1}
.quiet{color:var(--soft);font-size:.87rem}
strong.bad{color:var(--red)}
.num{text-align:right;white-space:nowrap}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:1.1rem 1.25rem;margin:0 0 1rem}
.verdict{border-width:1px 1px 1px 6px;padding:1.25rem 1.4rem}
.verdict h2{font-size:1.5rem;line-height:1.25}
.verdict p{margin-top:.3rem;color:var(--text)}
.verdict.red{background:var(--redSurface);border-color:var(--red)}.verdict.red h2{color:var(--red)}
.verdict.amber{background:var(--amberSurface);border-color:var(--amber)}.verdict.amber h2{color:var(--amber)}
.verdict.green{background:var(--greenSurface);border-color:var(--green)}.verdict.green h2{color:var(--green)}
.pill{display:inline-flex;align-items:center;gap:.4em;border-radius:99px;padding:.08rem .6rem;font-size:.78rem;font-weight:600;white-space:nowrap}
.pill.red{color:var(--red);background:var(--redSurface)}.pill.amber{color:var(--amber);background:var(--amberSurface)}.pill.green{color:var(--green);background:var(--greenSurface)}
.pill::before{content:"";width:.55em;height:.55em;border-radius:50%;background:currentColor}
.pill.red::before{border-radius:1px}.pill.amber::before{border-radius:0;clip-path:polygon(50% 0,100% 100%,0 100%)}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.9rem 1.25rem;margin:1rem 0 0}
.facts dt{color:var(--soft);font-size:.78rem}
.facts dd{margin:0;font-weight:600}
.facts dd small{display:block;font-weight:400;color:var(--soft);font-size:.8rem}
ol.todo{list-style:none;margin:.75rem 0 0;padding:0}
ol.todo>li{border-top:1px solid var(--line);padding:.7rem 0 .7rem 1rem;position:relative}
ol.todo>li::before{content:"";position:absolute;left:0;top:.85rem;bottom:.85rem;width:4px;border-radius:2px;background:var(--amber)}
ol.todo>li.red::before{background:var(--red)}
ol.todo .what{font-weight:600}
ol.todo .where{color:var(--soft);font-size:.82rem}
ol.todo .why{color:var(--soft);font-size:.87rem;white-space:pre-line}
ol.todo .do{margin-top:.15rem}
.head{display:flex;flex-wrap:wrap;gap:.4rem .8rem;align-items:center}
.head h3{margin:0}
.head+p{margin-top:.4rem}
.head .pill{margin-left:auto}
.block{border-top:1px solid var(--line);margin-top:1.1rem;padding-top:1rem}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,19rem),1fr));gap:1rem 1.5rem}
.pair>*{min-width:0;container-type:inline-size}
.block>.pair,.timeline{margin-top:1rem}
.pair+table{margin-top:1rem}
.pair .chart{margin-top:.25rem}
.scroll{overflow-x:auto;margin:0 -.25rem;padding:0 .25rem}
table{border-collapse:collapse;width:100%;font-size:.87rem}
th,td{text-align:left;padding:.36rem .75rem .36rem 0;border-bottom:1px solid var(--line);vertical-align:top}
th:last-child,td:last-child{padding-right:0}
thead th{color:var(--soft);font-weight:500;font-size:.78rem;white-space:nowrap;vertical-align:bottom}
tbody th{font-weight:500}
tbody tr:last-child>*{border-bottom:0}
td.barcell{width:28%;min-width:2.5rem;padding-top:.7rem}
table.sizes th:first-child{min-width:8.5rem}
th.num,td.num{text-align:right}
caption{text-align:left;color:var(--soft);font-size:.8rem;padding-bottom:.25rem}
details{margin-top:.5rem}
summary{cursor:pointer;color:var(--link);font-size:.85rem}
details[open]>summary{margin-bottom:.4rem}
svg.chart{display:block;width:100%;overflow:visible}
svg text{fill:var(--soft);font-size:11px;font-family:inherit}
svg .grid text{paint-order:stroke;stroke:var(--card);stroke-width:3px;stroke-linejoin:round}
svg .grid line{stroke:var(--line);stroke-width:1}
svg .axis{stroke:var(--soft);stroke-width:1}
svg.size .fill{fill:var(--size);opacity:.16}svg.size .stroke{stroke:var(--size)}svg.size .last{fill:var(--size)}
svg.time .fill{fill:var(--time);opacity:.16}svg.time .stroke{stroke:var(--time)}svg.time .last{fill:var(--time)}
svg .stroke{fill:none;stroke-width:1.75;vector-effect:non-scaling-stroke}
svg .target line{stroke:var(--red);stroke-dasharray:4 3}svg .target text{fill:var(--red)}
svg .mark{stroke:var(--card);stroke-width:1}
svg .mark.yearly{fill:var(--tierYearly)}svg .mark.monthly{fill:var(--tierMonthly)}svg .mark.weekly{fill:var(--tierWeekly)}
svg .mark.daily{fill:var(--tierDaily)}svg .mark.last{fill:var(--tierLast)}svg .mark.none{fill:var(--tierNone)}
svg .mark.unverified{fill:var(--card);stroke:var(--amber);stroke-width:2}
svg .mark.quarantined{fill:var(--red);stroke:var(--red);stroke-width:2}
svg .mark.drilled{stroke:var(--text);stroke-width:1.75}
svg.bar{display:block;overflow:hidden}
svg.bar .track{fill:var(--sunken)}svg.bar.size .value{fill:var(--size)}svg.bar.good .value{fill:var(--tierDaily)}svg.bar.bad .value{fill:var(--red)}
svg.bar .limit{stroke:var(--text);stroke-width:2}
ul.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.15rem .9rem;margin:.25rem 0 0;padding:0;font-size:.78rem;color:var(--soft)}
ul.legend li{display:flex;align-items:center;gap:.35rem}
ul.legend svg{flex:none}
footer{padding-top:.5rem;padding-bottom:2.5rem}
nav ul{list-style:none;margin:0;padding:0}
@media screen and (min-width:48rem),print and (min-width:43rem){
table.drills th:first-child{min-width:9rem}
table.drills th+td{min-width:7.2rem}
}
@media (min-width:40.01rem){@container (max-width:23.5rem){
table.sizes td.barcell,table.sizes thead td{display:none}
table.sizes thead th{white-space:normal}
table.sizes th:first-child{min-width:0}
}}
@media (max-width:40rem){
main,header.top,footer{padding-left:.85rem;padding-right:.85rem}
header.top p{margin-left:0}
.card{padding:.95rem .9rem}
.verdict h2{font-size:1.25rem}
.facts{grid-template-columns:1fr 1fr;gap:.7rem .9rem}
table.stack thead{position:absolute;left:-99rem}
table.stack,table.stack tbody,table.stack tr,table.stack th,table.stack td{display:block;width:auto;min-width:0}
table.stack tr{border-bottom:1px solid var(--line);padding:.5rem 0}
table.stack tr:last-child{border-bottom:0}
table.stack th,table.stack td{border:0;padding:.08rem 0;text-align:left;white-space:normal}
table.stack td[data-label]{display:grid;grid-template-columns:6.5rem minmax(0,1fr);gap:.75rem}
table.stack td[data-label]::before{content:attr(data-label);color:var(--soft);font-size:.8rem}
table.sizes thead{position:absolute;left:-99rem}
table.sizes tr{display:flex;flex-wrap:wrap;gap:0 .9rem;border-bottom:1px solid var(--line);padding:.35rem 0}
table.sizes th,table.sizes td{border:0;padding:0}
table.sizes tbody th{flex:1 1 auto;min-width:0;max-width:100%}
table.sizes td.num{margin-left:auto}
table.sizes td.barcell{flex:1 0 100%;width:auto;padding:.3rem 0 .15rem}
}
@page{margin:14mm 12mm}
@media print{
:root{color-scheme:light;${variables(0)}}
body{background:#fff;font-size:10pt}
main,header.top,footer{max-width:none;padding-left:0;padding-right:0}
.card{border-color:#bbb;break-inside:auto}
.pair>*,.timeline,tr,ol.todo>li,.verdict{break-inside:avoid}
h2,h3,h4,.head{break-after:avoid}
.skip,nav.tabs,details:not([open]){display:none}
.scroll{overflow:visible}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
}
`.trim();
