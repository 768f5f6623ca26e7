/*
 * The look of a page: one column of text that a phone can show, colours for
 * light and dark screens, and a sheet for paper.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/style.h"

#include "report/palette.h"

static const char text_rules[] =
    "*{box-sizing:border-box}\n"
    "html{-webkit-text-size-adjust:100%;scroll-behavior:smooth}\n"
    "body{margin:0;background:var(--paper);color:var(--text);"
    "font:1.0625rem/1.6 system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans','DejaVu Sans',sans-serif}\n"
    "main{max-width:46.5rem;margin:0 auto;padding:3.5rem 1.25rem 4rem}\n"
    "header{margin-bottom:2rem}\n"
    "header.part{margin-top:5rem;padding-top:2.5rem;border-top:3px solid var(--axis);break-before:page}\n"
    ".chapter{margin:0 0 .4rem;font-size:.9rem;font-weight:600;letter-spacing:.04em;color:var(--blue-text)}\n"
    "h1{font-size:clamp(1.75rem,5.2vw,2.6rem);line-height:1.15;letter-spacing:-.02em;margin:0 0 1rem;"
    "text-wrap:balance}\n"
    "h2{font-size:1.4rem;line-height:1.25;letter-spacing:-.01em;margin:0 0 .75rem;text-wrap:balance}\n"
    "h3{font-size:1.05rem;margin:1.75rem 0 .5rem}\n"
    "p{margin:0 0 1rem;max-width:42rem}\n"
    ".lead{font-size:1.2rem;line-height:1.55;color:var(--muted);margin:0}\n"
    "section{margin:3.25rem 0 0;padding-top:2.25rem;border-top:1px solid var(--grid)}\n"
    "a{color:var(--blue-text);text-underline-offset:.15em}\n"
    "code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;font-size:.9em}\n"
    "pre{background:var(--panel);border-radius:.5rem;padding:.8rem 1rem;overflow-x:auto;white-space:pre-wrap;"
    "overflow-wrap:anywhere;margin:0 0 1rem}\n"
    "code{overflow-wrap:anywhere}\n"
    ".keys{display:grid;grid-template-columns:repeat(auto-fit,minmax(10.5rem,1fr));gap:.75rem;margin:0 0 1.5rem}\n"
    ".keys>div{background:var(--panel);border-radius:.6rem;padding:.9rem 1rem 1rem}\n"
    ".keys dt{font-size:.85rem;color:var(--muted);line-height:1.35}\n"
    ".keys dd{margin:.2rem 0 0}\n"
    ".keys strong{display:block;font-size:1.7rem;line-height:1.2;letter-spacing:-.02em;"
    "font-variant-numeric:tabular-nums}\n"
    ".keys span{display:block;font-size:.85rem;line-height:1.4;color:var(--muted);margin-top:.25rem}\n"
    "ul,ol{padding-left:1.3rem;margin:0 0 1rem;max-width:42rem}\n"
    "li{margin:.45rem 0}\n"
    "nav ol{columns:2;column-gap:2rem;font-size:.95rem;list-style-position:inside;padding:0}\n"
    "nav li{margin:.15rem 0;break-inside:avoid}\n";

static const char figure_rules[] =
    "figure{margin:1.75rem 0 1.5rem}\n"
    "figcaption{font-size:.95rem;line-height:1.45;margin:0 0 .75rem;color:var(--text)}\n"
    "svg{display:block;width:100%;height:auto}\n"
    "svg text{font-family:inherit}\n"
    "svg.narrow{display:none}\n"
    "details{font-size:.9rem;margin-top:.75rem}\n"
    "summary{cursor:pointer;color:var(--muted);width:fit-content}\n"
    "summary:hover{color:var(--text)}\n"
    ":focus-visible{outline:2px solid var(--blue);outline-offset:2px;border-radius:2px}\n"
    ".scroll{overflow-x:auto;margin:.75rem 0}\n"
    "table{border-collapse:collapse;width:100%;font-size:.88rem;line-height:1.35;font-variant-numeric:tabular-nums}\n"
    "caption{text-align:left;font-weight:600;padding:.35rem 0}\n"
    "th,td{padding:.35rem .6rem;text-align:right;border-bottom:1px solid var(--grid);vertical-align:baseline}\n"
    "th{font-weight:500}\n"
    "th:first-child{text-align:left;padding-left:0}\n"
    "td:last-child,th:last-child{padding-right:0}\n"
    "th[scope=row]{overflow-wrap:anywhere;min-width:7rem}\n"
    "thead th{color:var(--muted);border-bottom-color:var(--axis);vertical-align:bottom}\n"
    "td{white-space:nowrap}td.words{white-space:normal}td.words,th.words{text-align:left}\n"
    "th small{display:block;color:var(--muted);font-weight:400}\n"
    "td small{display:block;color:var(--muted);white-space:nowrap}\n"
    ".files{margin:.5rem 0 0;color:var(--muted)}\n"
    ".missing{border-left:4px solid var(--vermillion);background:var(--panel);padding:.75rem 1rem;max-width:none}\n"
    ".heat td{background:color-mix(in srgb,var(--blue) calc(var(--h)*1%),var(--paper))}\n"
    ".heat td small{color:inherit;opacity:.75}\n"
    ".heat td,.heat td:last-child{padding-right:.5rem}.heat th[scope=row]{min-width:5.5rem}\n"
    "@media (max-width:600px){main{padding:1.75rem 1rem 3rem}svg.wide{display:none}svg.narrow{display:block}"
    "nav ol{columns:1}section{margin-top:2.25rem;padding-top:1.75rem}.lead{font-size:1.1rem}"
    ".keys{grid-template-columns:1fr 1fr;gap:.5rem}.keys>div{padding:.7rem .8rem}.keys strong{font-size:1.4rem}"
    "th,td{padding:.3rem .4rem}table{font-size:.82rem}"
    ".heat td,.heat td:last-child{padding:.3rem .2rem}.heat th{padding-left:.2rem;padding-right:.2rem}}\n"
    "@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}\n"
    "@page{margin:18mm 16mm}\n"
    "@media print{body{font-size:10.5pt;line-height:1.45}main{max-width:none;padding:0}"
    "section{margin-top:1.5rem;padding-top:1rem}h2,figcaption{break-after:avoid}"
    "figure,table,.keys>div{break-inside:avoid}svg.wide{max-width:15.5cm}"
    "details:not([open]){display:none}nav,.files{display:none}a{color:inherit;text-decoration:none}"
    ".keys>div,pre{border:1px solid var(--grid)}"
    "*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}\n";

static void variables(report_text *css, bool dark)
{
    report_add(css, dark ? "--paper:#15181d;--panel:#1e2229" : "--paper:#ffffff;--panel:#f4f6f8");
    for (size_t i = 0; i < palette_count; ++i)
        report_format(css, ";--%s:#%06x", palette[i].name, (unsigned)(dark ? palette[i].dark : palette[i].light));
}

void style_write(report_text *css)
{
    report_add(css, ":root{color-scheme:light dark;");
    variables(css, false);
    report_add(css, "}\n@media screen and (prefers-color-scheme:dark){:root{");
    variables(css, true);
    report_add(css, "}}\n");
    report_add(css, text_rules);
    report_add(css, figure_rules);
}
