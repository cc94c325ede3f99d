"use strict";
/* One script for all pages, which read well without it. No request leaves the site. */
{
const html = document.documentElement;
const $ = (what, where = document) => where.querySelector(what);
const all = (what, where = document) => [...where.querySelectorAll(what)];
const make = (tag, set = {}, ...inside) => {
  const node = Object.assign(document.createElement(tag), set);
  node.append(...inside);
  return node;
};

// Theme: the system's until one is chosen. Private windows have no storage.
const themes = ["auto", "light", "dark"];
const remembered = () => { try { return localStorage.getItem("atlas-theme"); } catch { return null; } };
const dress = (theme) => { if (theme === "auto") delete html.dataset.theme; else html.dataset.theme = theme; };
let theme = themes.includes(remembered()) ? remembered() : "auto";
html.classList.add("js");
dress(theme);
const toggle = () => {
  const button = $("#theme");
  const name = () => { button.textContent = `Theme: ${theme}`; };
  name();
  button.addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    try { localStorage.setItem("atlas-theme", theme); } catch { /* chosen for this page only */ }
    dress(theme);
    name();
  });
};

// Search: every word of the query must be in the row, a number as a whole; whole words first.
const words = (text) => text.normalize("NFKD").toLowerCase().split(/[^\p{L}\p{N}]+/u).filter(Boolean);
const has = (text, token) => text.includes(/^\d+$/.test(token) ? ` ${token} ` : token);
let list = null, loading = null;
const load = () => loading ||= new Promise((done) => {
  const script = make("script", { src: `${document.body.dataset.root}assets/units.js` });
  script.onload = () => { list = rows(window.atlasUnits || []); done(list); };
  script.onerror = () => done(list = []);
  document.head.append(script);
});
const rows = (models) => {
  const found = [];
  models.forEach((model, at) => {
    const row = (kind, layer, set, text) => found.push({ kind, model: at, layer, ...set, text: ` ${words(text).join(" ")} ` });
    row("model", -1, { name: model.title, note: model.name, page: `${model.folder}/index.html`, status: "" }, `${model.title} ${model.name}`);
    model.layers.forEach(([name, folder, channels = 0], layer) =>
      row("layer", layer, { name, channels, note: `${{ classes: "all classes", images: "all images" }[folder] || "layer"} of ${model.title}`, page: `${model.folder}/${folder}/index.html`, status: "" }, `${model.title} ${name}`));
    for (const [layer, channel, rank, status, label, has, raises, tags = ""] of model.rows) {
      const [name, folder] = model.layers[layer], home = `${model.folder}/${folder}/`;
      const kind = { classes: "class", images: "image" }[folder] || "unit";  // no layer's folder has these names
      const said = kind === "unit" ? [label, raises && `raises ${raises}`, model.title + (rank ? `, rank ${rank}` : "")]
        : [`${kind === "class" ? "" : "sample "}${kind} ${channel} of ${model.title}`];
      row(kind, layer, { name: kind === "unit" ? `${name}:${channel}` : label, channel, status, tags, page: `${home}${channel}.html`,
        note: said.filter(Boolean).join(" · ") + (status && status !== "ok" ? `, ${status}` : ""),
        thumb: has && home + (kind === "image" ? `${channel}.jpg` : `img/${channel}.t.jpg`), picture: kind === "image" && "Sample image" },
      `${model.title} ${kind === "unit" ? name : kind} ${channel} ${label} ${raises}`);
    }
  });
  return found;
};
const search = (query, keep = () => true) => {
  const tokens = words(query);
  const hits = [];
  for (const row of list) {
    let score = 0;
    for (const token of tokens) {
      if (!has(row.text, token)) { score = -1; break; }
      score += row.text.includes(` ${token} `) ? 4 : row.text.includes(` ${token}`) ? 2 : 1;
    }
    if (score >= 0 && row.text.includes(` ${tokens.join(" ")} `)) score += 4;
    if (score >= 0 && keep(row)) hits.push([score, hits.length, row]);
  }
  const found = hits.sort((a, b) => b[0] - a[0] || a[1] - b[1]).map((hit) => hit[2]);
  return [...absent(query, found).filter(keep), ...found];
};
// A unit that this atlas does not show: its layer, and how many it shows.
const absent = (query, found) => {
  const [, name, channel] = query.match(/^(.*\S)[:\s]\s*(\d+)\s*$/) || [];
  if (!name || found.some((row) => row.kind === "unit" && row.channel === +channel)) return [];
  const tokens = words(name), missing = [];
  for (const row of list) {
    if (row.kind !== "layer" || !(channel < row.channels) || !tokens.every((token) => has(row.text, token))) continue;
    const shown = list.filter((one) => one.kind === "unit" && one.model === row.model && one.layer === row.layer).length;
    missing.push({ ...row, kind: "absent", name: `${row.name}:${channel}`, note: `is not rendered: ${shown} of ${row.channels} channels are` });
  }
  return missing.length <= 3 ? missing : [];
};
const link = (row, size) => {
  const root = document.body.dataset.root;
  const picture = row.thumb
    ? make("img", { src: root + row.thumb, width: size, height: size, alt: `${row.picture || "Rendering of"} ${row.name}`, loading: "lazy" })
    : make("span", { className: "void" });
  return make("a", { href: root + row.page }, picture,
    make("span", {}, make("bdi", { textContent: row.name }), make("small", { textContent: ` ${row.note}` })));
};
const finder = () => {
  const box = $("#q"), hits = $("#hits"), onPage = $("#results");
  const first = () => $("a", onPage || hits);
  box.addEventListener("focus", load, { once: true });
  box.form.addEventListener("submit", (event) => {
    const hit = first();
    if (box.value.trim() && hit && (onPage || !hits.hidden)) { event.preventDefault(); location.href = hit.href; }
  });
  if (onPage) return searchPage(box, onPage);
  const show = async () => {
    await load();
    const found = words(box.value).length ? search(box.value).slice(0, 8) : [];
    hits.replaceChildren(...found.map((row) => link(row, 32)));
    hits.hidden = !found.length;
  };
  box.addEventListener("input", show);
  box.form.addEventListener("focusout", (event) => { if (!box.form.contains(event.relatedTarget)) hits.hidden = true; });
  box.form.addEventListener("keydown", (event) => {
    const links = all("a", hits), at = links.indexOf(document.activeElement);
    if (event.key === "Escape") { hits.hidden = true; box.blur(); }
    if (event.key === "ArrowDown" && links.length) { event.preventDefault(); links[Math.min(at + 1, links.length - 1)].focus(); }
    if (event.key === "ArrowUp" && at >= 0) { event.preventDefault(); (links[at - 1] || box).focus(); }
  });
};
const searchPage = (box, results) => {
  const facets = $("#facets"), count = $("#count"), names = ["model", "layer", "status", "tag"];
  box.value = asked.get("q") || "";
  const layers = () => {
    const models = window.atlasUnits || [], at = facets.model.value;
    const options = at || models.length === 1 ? models[+at].layers : [];
    facets.layer.replaceChildren(make("option", { value: "", textContent: "all" }),
      ...options.map(([name], at) => make("option", { value: at, textContent: name })));
  };
  const show = () => {
    const values = Object.fromEntries(names.map((name) => [name, facets[name].value])), { tag, ...rest } = values;
    const keep = (row) => Object.entries(rest).every(([name, value]) => !value || `${row[name]}` === value) && tagged(row.tags, tag);
    const narrowed = Object.values(values).some(Boolean);
    const found = words(box.value).length || narrowed ? search(box.value, keep) : [];
    results.replaceChildren(...found.slice(0, 120).map((row) => make("li", {}, link(row, 64))));
    count.textContent = !words(box.value).length && !narrowed ? "Type a layer, a channel, a label or a class name."
      : found.length ? `${found.length} found${found.length > 120 ? ", the first 120 shown" : ""}` : "Nothing found. All layers are listed below.";
    keepInUrl({ q: box.value.trim(), ...values });
  };
  load().then(() => {
    for (const name of names) {
      if (name === "layer") layers();
      choose(facets[name]);
    }
    show();
    box.addEventListener("input", show);
    facets.addEventListener("change", (event) => { if (event.target.name === "model") layers(); show(); });
  });
};
const asked = new URLSearchParams(location.search);
// What the address asks of a control, if that is one of its options.
const choose = (control, other = "") => {
  control.value = asked.get(control.name) || other;
  if (control.selectedIndex < 0) control.value = other;
};
const tagged = (tags, tag) => !tag || `,${tags},`.includes(`,${tag},`);
const keepInUrl = (values) => {
  const query = new URLSearchParams(Object.entries(values).filter(([, value]) => value !== ""));
  try { history.replaceState(history.state, "", `${location.pathname}${String(query) && `?${query}`}${location.hash}`); } catch { /* the address stays */ }
};

window.atlas = { make, words, has, tagged, asked, choose, keepInUrl };  // for wall.js and quiz.js

// Layer page: sort, filter, recipe, size. `data-v` holds rank, channel, mean, max, contrast, place
// among like ones (for a class also its place by name), then status, REACH, SELECT, ROBUST, HF, IDENT, PREDICT,
// whether there is a picture and the number of its sheet, of each recipe. Then what it prefers.
const gridPage = () => {
  const tools = $("#tools"), grid = $("#grid");
  if (!tools) return;
  const cards = all(".card", grid).map((node) => ({ node, v: JSON.parse(node.dataset.v) }));
  const recipes = tools.recipe ? [...tools.recipe.options].map((option) => option.value) : [""];
  const suffixOf = (place) => (tools.recipe ? tools.recipe.options[place].dataset.suffix : "");
  const common = { rank: 1, channel: 1, mean: -1, max: -1, contrast: -1, similar: 1, name: 1 };
  const noun = tools.dataset.noun || "units";
  const scored = { reach: -1, select: 1, robust: -1, hf: 1, ident: 1, predict: -1 };
  const tuned = { orientation: 1, frequency: 1, hue: 1, colour: -1 };
  const valueOf = (card, key, recipe) => key in common ? card.v[0][Object.keys(common).indexOf(key)]
    : key in tuned ? (card.v[1 + recipes.length] || [])[Object.keys(tuned).indexOf(key)]
    : (card.v[1 + recipe] || [])[1 + Object.keys(scored).indexOf(key)];
  const observer = new IntersectionObserver((entries) => entries.forEach((entry) => {
    if (entry.isIntersecting) { sharpen(entry.target); observer.unobserve(entry.target); }
  }));
  const sharpen = (card) => {
    const image = $(".made img", card);
    if (!image || image.classList.contains("full") || !image.dataset.full) return;
    const whole = make("img", { alt: image.alt, width: 224, height: 224, className: "full" });
    whole.onload = () => image.replaceWith(whole);
    whole.src = image.dataset.full;
  };
  const show = () => {
    const recipe = Math.max(0, recipes.indexOf(tools.recipe ? tools.recipe.value : "")), key = tools.sort.value;
    const down = (common[key] || scored[key] || tuned[key]) < 0;
    const order = (card) => { const value = valueOf(card, key, recipe); return value == null ? Infinity : down ? -value : value; };
    cards.sort((a, b) => (order(a) === order(b) ? a.v[0][0] - b.v[0][0] : order(a) - order(b)));
    let seen = 0;
    for (const { node, v } of cards) {
      const status = (v[1 + recipe] || ["unrendered"])[0];
      node.hidden = tools.status.value !== "" && status !== tools.status.value || !tagged(node.dataset.tags, tools.tag.value);
      seen += !node.hidden;
    }
    grid.append(...cards.map((card) => card.node));
    $("#count").textContent = seen === cards.length ? `${seen} ${noun}` : `${seen} of ${cards.length} ${noun}`;
    $("#nothing").hidden = seen > 0 || !cards.length;
    resize();
    keepInUrl({ sort: key === "rank" ? "" : key, status: tools.status.value, tag: tools.tag.value,
      recipe: recipe ? recipes[recipe] : "", size: tools.size.value === "128" ? "" : tools.size.value });
  };
  const resize = () => {
    html.style.setProperty("--thumb", `${tools.size.value}px`);
    if (tools.size.value * (window.devicePixelRatio || 1) > 150) cards.forEach((card) => observer.observe(card.node));
  };
  const flag = (node, status) => {
    const old = $(".flag", node);
    if (old) old.remove();
    if (status !== "ok" && status !== "unrendered") $("a", node).append(make("span", { className: "flag", textContent: status }));
  };
  const paint = () => {
    const at = tools.recipe ? Math.max(0, recipes.indexOf(tools.recipe.value)) : 0;
    for (const chart of all("[data-of]")) chart.hidden = chart.dataset.of !== recipes[at];
    for (const { node, v } of cards) {
      const made = v[1 + at], channel = v[0][1], tile = $(".made", node), reach = $(".reach", node);
      if (reach) reach.textContent = made && made[1] == null ? "–" : made[1] >= 1000 ? "beyond" : made[1].toPrecision(3);
      flag(node, made ? made[0] : "unrendered");
      const suffix = suffixOf(at);
      if (!made || !made[7]) { if (at || !tile.firstElementChild) tile.replaceChildren(make("span", { className: "word", textContent: made ? made[0] : "unrendered" })); continue; }
      const was = $("img", tile), spot = $(".real img", node);
      const place = was && !was.classList.contains("full") ? was.className : spot ? spot.className : "";
      const image = make("img", { alt: `Rendering of ${$("h1").textContent}:${channel} by ${recipes[at]}`, width: 896, height: 896, loading: "lazy", className: place });
      image.dataset.full = `img/${channel}${suffix}.jpg`;
      image.src = `img/sheet${suffix}-${made[8]}.jpg`;
      tile.replaceChildren(image);
    }
  };
  for (const control of tools.elements) choose(control, control.value);
  for (const { node, v } of cards) {
    const image = $(".made img", node);
    if (image) image.dataset.full = `img/${v[0][1]}${suffixOf(0)}.jpg`;
  }
  if (tools.recipe && tools.recipe.selectedIndex > 0) paint();
  tools.addEventListener("change", (event) => { if (event.target.name === "recipe") paint(); show(); });
  tools.addEventListener("input", (event) => { if (event.target.name === "size") resize(); });
  tools.addEventListener("submit", (event) => event.preventDefault());
  show();
  const target = location.hash && document.getElementById(location.hash.slice(1));
  if (target) { target.classList.add("here"); target.scrollIntoView({ block: "center" }); }
};

// Viewer: a native dialog with the whole image, the box of the patch, and its neighbours.
const boxed = (text) => {
  if (!text) return null;
  const [y0, x0, y1, x1] = text.split(" ").map(Number);
  return { x: x0, y: y0, width: x1 - x0, height: y1 - y0 };
};
const viewer = () => {
  const links = all("a.open, .cuts a");
  if (!links.length) return;
  const box = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const rect = document.createElementNS(box.namespaceURI, "rect");
  box.ariaHidden = true;
  box.append(rect);
  const button = (textContent, onclick, ariaLabel) => make("button", { type: "button", textContent, onclick, ariaLabel });
  const frame = make("div", { className: "frame" }), name = make("bdi"), page = make("a", { textContent: "its page" });
  const [before, after] = [button("←", () => step(-1), "Previous image"), button("→", () => step(1), "Next image")];
  const dialog = make("dialog", { className: "viewer", ariaLabel: "Whole image" }, frame, make("p", {}, name, page, before, after, button("Close", () => dialog.close())));
  document.body.append(dialog);
  let from = null, now = null;
  const near = () => all("a.open, .cuts a", now.closest("ol, .nine, .cuts, figure, section"));
  const step = (by) => { const all_ = near(), next = all_[all_.indexOf(now) + by]; if (next) show(next); };
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => from && from.focus());
  dialog.addEventListener("keydown", (event) => { if (/^Arrow(Left|Right)$/.test(event.key)) { event.preventDefault(); step(event.key === "ArrowLeft" ? -1 : 1); } });
  const show = (each) => {
    now = each;
    const title = each.dataset.title || $("img", each).alt;
    name.textContent = title;
    page.hidden = !each.dataset.page;
    page.href = each.dataset.page || "#";
    const others = near(), at = others.indexOf(each);
    [before.disabled, after.disabled] = [at <= 0, at >= others.length - 1];
    before.hidden = after.hidden = others.length < 2;
    const whole = make("img", { src: each.href, alt: title, width: 672, height: 672 });
    whole.onload = () => frame.style.setProperty("--across", Math.min(1, whole.naturalWidth / whole.naturalHeight));
    frame.replaceChildren(whole, box);
    const cut = $("foreignObject", each) && each.firstChild.viewBox.baseVal, drawn = $("rect", each);
    const part = cut || drawn && drawn.getBBox() || boxed(each.dataset.box);
    box.toggleAttribute("hidden", !part);
    if (part) {
      const [across, down = across] = each.closest("[data-size]").dataset.size.split(" ");
      box.setAttribute("viewBox", `0 0 ${across} ${down}`);
      for (const key of ["x", "y", "width", "height"]) rect.setAttribute(key, part[key]);
    }
  };
  for (const each of links) {
    each.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      from = each;
      show(each);
      dialog.showModal();
    });
  }
};

const copying = () => all("[data-copy]").forEach((button) => button.addEventListener("click", async () => {
  const said = button.textContent;
  const home = new URL(document.body.dataset.root || ".", location), from = document.getElementById(button.dataset.copy);
  const text = from ? from.textContent.replaceAll("https://…/", home) : location.href;
  try { await navigator.clipboard.writeText(text); button.textContent = "Copied"; } catch { button.textContent = "Copy it by hand"; }
  setTimeout(() => { button.textContent = said; }, 1500);
}));

// Image page: opacity of the heat map over the photograph.
const overlay = () => {
  const slider = $("#opacity");
  if (!slider) return;
  const show = () => {
    $("#heat").style.setProperty("--opacity", slider.value / 100);
    $("#shown").textContent = `${slider.value} %`;
  };
  slider.addEventListener("input", show);
  show();
};

// Renderings beside real patches: a unit's rendering and its patches light up together.
const partners = () => {
  const halves = $("#halves");
  if (!halves) return;
  const light = (event) => {
    const unit = event.target.closest("[data-unit]");
    all(".lit", halves).forEach((node) => node.classList.remove("lit"));
    if (unit && !/out$|leave$/.test(event.type)) all(`[data-unit="${unit.dataset.unit}"]`, halves).forEach((node) => node.classList.add("lit"));
  };
  for (const type of ["pointerover", "pointerout", "focusin", "focusout"]) halves.addEventListener(type, light);
};

const daily = () => {
  const days = all(".daily li");
  if (days.length) { days[0].hidden = true; days[(new Date().getUTCDate() - 1) % days.length].hidden = false; }
};

// A unit by chance, of those with a picture.
const random = () => all("[data-key=r]").forEach((link) => link.addEventListener("click", async (event) => {
  event.preventDefault();
  const shown = (await load()).filter((row) => row.kind === "unit" && row.thumb);
  if (shown.length) location.href = document.body.dataset.root + shown[Math.floor(Math.random() * shown.length)].page;
}));

const keys = () => addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]")
    || event.target.closest("input, select, textarea, [contenteditable], .scroll")) return;
  if (event.key === "/") { event.preventDefault(); $("#q").focus(); $("#q").select(); return; }
  const go = $(`[data-key="${event.shiftKey ? "Shift+" : ""}${event.key}"]`);
  if (go) { event.preventDefault(); go.click(); }
});

addEventListener("DOMContentLoaded", () => { toggle(); finder(); gridPage(); viewer(); copying(); overlay(); partners(); daily(); random(); keys(); });
}
