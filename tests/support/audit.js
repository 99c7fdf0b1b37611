// What of WCAG 2.2 AA a machine can see on a page: a list of what is wrong. The body of a function.
const wrong = [];
const say = (what, element) => wrong.push(element ? `${what}: ${element.outerHTML.slice(0, 120)}` : what);
const shown = (element) => {
    const box = element.getBoundingClientRect();
    return element.checkVisibility({ checkVisibilityCSS: true }) && box.width > 1 && box.height > 1 && box.bottom > 0;
};
const all = (css) => [...document.querySelectorAll(css)];

if (!document.title.trim()) say("no title");
if (!["it", "en"].includes(document.documentElement.lang)) say("no language");
if (all("h1").length !== 1) say(`${all("h1").length} main headings`);
let level = 0;
for (const heading of all("h1, h2, h3, h4")) {
    const next = Number(heading.tagName[1]);
    if (next > level + 1 && !(level === 0 && heading.closest("[role=alert]"))) say("a heading level is left out", heading);
    if (!heading.closest("[role=alert]")) level = next;
}
if (all("main").length !== 1) say("not one main part");

const ids = all("[id]").map((element) => element.id);
for (const id of ids.filter((id, at) => ids.indexOf(id) !== at)) say(`the id ${id} comes twice`);
for (const element of all("[aria-describedby], [aria-labelledby]")) {
    const named = `${element.getAttribute("aria-describedby") || ""} ${element.getAttribute("aria-labelledby") || ""}`;
    for (const id of named.split(/\s+/).filter(Boolean)) if (!document.getElementById(id)) say(`nothing has the id ${id}`, element);
}
for (const input of all("input:not([type=hidden]), select, textarea")) {
    if (!input.labels.length) say("a field without a label", input);
}
for (const element of all("a, button, summary")) if (!element.textContent.trim()) say("nothing to read aloud", element);
for (const element of all("[style], script:not([src]), style")) say("something stands inline", element);

// Target size, 24 by 24 (2.5.8); a link in a sentence is excepted.
for (const element of all("a, button, summary, input:not([type=hidden])").filter(shown)) {
    const box = element.getBoundingClientRect();
    const inSentence = element.tagName === "A" && getComputedStyle(element).display === "inline";
    if (!inSentence && (box.width < 24 || box.height < 24)) say(`${box.width} by ${box.height} is a small target`, element);
}

// Reflow (1.4.10).
const page = document.documentElement;
if (page.scrollWidth > page.clientWidth) say(`${page.scrollWidth} wide in ${page.clientWidth}`);

// Contrast (1.4.3).
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
};
const light = (colour) => {
    const [r, g, b] = [...rgba(colour)].slice(0, 3).map((part) => part / 255)
        .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
        const colour = getComputedStyle(at).backgroundColor;
        if (rgba(colour)[3] === 255) return colour;
    }
    return "white";
};
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
    const element = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || !shown(element) || element.closest("[disabled], noscript")) continue;
    const style = getComputedStyle(element);
    const [one, two] = [light(style.color), light(behind(element))].sort((a, b) => b - a);
    const size = parseFloat(style.fontSize);
    const least = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    const ratio = (one + 0.05) / (two + 0.05);
    if (ratio < least) say(`contrast ${ratio.toFixed(2)} of ${style.color} on ${behind(element)}`, element);
}
return wrong;
