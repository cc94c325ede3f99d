"use strict";
/* The wall: all units on one canvas. Positions are in tiles; `view`: middle and pixels of a tile. */
{
const NEAR = 48, SHARP = 150, LARGEST = 448, LABEL = 26, KEPT = 48;  // pixels, files
const { words, has, tagged, asked, choose, keepInUrl } = window.atlas;
const [wall, here, look, count, data] = ["wall", "here", "look", "count", "units"].map((id) => document.getElementById(id));
const { tile, sheet, dot, layers } = JSON.parse(data.textContent);
const canvas = wall.firstChild, pen = canvas.getContext("2d", { alpha: false }), files = new Map(), fingers = new Map();
let bands, units, wide, high, fit, halfX, halfY, view, at, paper, moved, drawing, keeping, frame = 1;
const limit = (least, value, most) => Math.max(least, Math.min(value, most));
const on = (where, types, act) => types.split(" ").forEach((type) => where.addEventListener(type, act, { passive: false }));
for (const layer of layers) {
  layer.units = layer.cells.flatMap((cell, number) => {
    if (!cell) return [];
    const [channel, place, status, reach, ident, called, note, tags] = cell, name = `${layer.name}:${channel}`;
    return { layer, channel, place, tags, bins: [status, reach, ident], name, title: `${name} ${called} ${note}`, text: ` ${words(`${name} ${called}`).join(" ")} `,
      column: number % layer.across, row: Math.floor(number / layer.across) };
  });
  layer.down = layer.cells.length / layer.across;
}

// Layers on shelves, of the width that makes tiles largest.
const shelve = (most, gap) => {
  let x = 0, y = gap;
  wide = high = 0;
  for (const band of bands) {
    if (x && x + band.across > most) { x = 0; y = high + gap; }
    Object.assign(band, { x, y });
    wide = Math.max(wide, x + band.across);
    high = Math.max(high, y + band.down);
    x += band.across + gap;
  }
  return Math.min(160, 1.96 * halfX / wide, 1.96 * halfY / high);
};
const arrange = () => {
  bands = layers.filter((layer) => [layer.name, ""].includes(look.layer.value));
  units = bands.flatMap((layer) => layer.units);
  const gap = LABEL / Math.sqrt(4 * halfX * halfY / units.length);
  let best = fit = 0;
  for (let most = 1; most < 2 * units.length; most *= 1.02) if (shelve(most, gap) > fit) fit = shelve(best = most, gap);
  shelve(best, gap);
  for (const unit of units) { unit.x = unit.layer.x + unit.column + .5; unit.y = unit.layer.y + unit.row + .5; }
  colour();
};
// Colours and search: from afar a pixel a unit.
const colour = () => {
  const tokens = words(look.find.value), keys = look.querySelectorAll(".key"), chosen = look.colour.selectedIndex - 1;
  const shades = [...(keys[chosen]?.querySelectorAll("i") || [])].map((one) => getComputedStyle(one).color);
  let found = 0;
  keys.forEach((key, place) => { key.hidden = place !== chosen; });
  for (const band of bands) {
    const map = new OffscreenCanvas(band.across, band.down), ink = map.getContext("2d");
    ink.fillStyle = paper;
    ink.fillRect(0, 0, band.across, band.down);
    for (const unit of band.units) {
      unit.off = !tokens.every((token) => has(unit.text, token)) || !tagged(unit.tags, look.tag.value);
      unit.tint = shades[unit.bins[chosen]];
      found += !unit.off;
      ink.globalAlpha = unit.off ? .85 : .6;
      ink.fillStyle = unit.off ? paper : unit.tint || "#0000";
      ink.clearRect(unit.column, unit.row, 1, 1);
      ink.fillRect(unit.column, unit.row, 1, 1);
    }
    band.map = map.transferToImageBitmap();
  }
  count.textContent = `${found < units.length ? `${found} of ` : ""}${units.length} ${count.dataset.of}`;
  draw();
};

// Sheets and pictures that were drawn last stay in memory, and some more.
const picture = (layer, name) => {
  const path = `${layer.folder}/img/${name}.jpg`;
  let file = files.get(path);
  if (!file) {
    const image = new Image();
    image.src = path;
    files.set(path, file = {});
    image.decode().then(() => createImageBitmap(image)).then((made) => {
      file.made = made;
      wall.dataset.drawn = path;
      draw();
    }, () => {});
  }
  file.frame = frame;
  return file.made;
};
const source = ({ layer, channel, place, column, row }) => {
  let made = place !== null && view.scale > SHARP && picture(layer, channel + layer.suffix);
  if (made) return [made, 0, 0, made.width, made.height];
  made = place !== null && picture(layer, `sheet${layer.suffix}-${Math.floor(place / sheet ** 2)}`);
  if (made) return [made, place % sheet * tile, Math.floor(place / sheet) % sheet * tile, tile, tile];
  return [picture(layer, "overview"), column * dot, row * dot, dot, dot];
};
const drawTile = (unit) => {
  const size = Math.floor(view.scale), left = Math.round(screenX(unit.x - .5)), top = Math.round(screenY(unit.y - .5));
  if (left > 2 * halfX || top > 2 * halfY || left + size < 0 || top + size < 0) return;
  const part = source(unit), room = size - 2 * (unit.tint ? Math.max(3, size * .06) : 1), long = Math.max(part[3], part[4]);
  const across = room * part[3] / long, down = room * part[4] / long;
  pen.globalAlpha = unit.off ? .15 : 1;
  if (unit.tint) { pen.fillStyle = unit.tint; pen.fillRect(left, top, size, size); }
  if (part[0]) pen.drawImage(...part, left + (size - across) / 2, top + (size - down) / 2, across, down);
  pen.globalAlpha = 1;
};
const drawAll = () => {
  const { scale } = view, { backgroundColor, color, fontFamily } = getComputedStyle(document.body), size = limit(10, bands[0].y * scale * .7, 15);
  if (paper !== backgroundColor) { paper = backgroundColor; colour(); }
  drawing = 0;
  frame += 1;
  pen.fillStyle = paper;
  pen.fillRect(0, 0, 2 * halfX, 2 * halfY);
  pen.font = `${size}px ${fontFamily}`;
  for (const band of bands) {
    const place = [screenX(band.x), screenY(band.y), band.across * scale, band.down * scale], [left, top, across, down] = place;
    if (left > 2 * halfX || top > 2 * halfY + LABEL || left + across < 0 || top + down < 0) continue;
    if (scale > NEAR) band.units.forEach(drawTile);
    else {
      const made = picture(band, "overview");
      if (made) pen.drawImage(made, ...place);
      pen.imageSmoothingEnabled = false;
      pen.drawImage(band.map, ...place);
      pen.imageSmoothingEnabled = true;
    }
    pen.fillStyle = color;
    pen.fillText(band.name, left, top - size * .3, across);
  }
  for (const [path, file] of files) if (files.size > KEPT && file.frame < frame) files.delete(path);
  aim(at);
  clearTimeout(keeping);
  keeping = setTimeout(() => keepInUrl({ layer: look.layer.value, colour: look.colour.value, tag: look.tag.value, find: look.find.value.trim(),
    ...(isWhole() ? {} : { at: middle().name, size: Math.round(scale) }) }), 300);
};
const draw = () => { drawing ||= requestAnimationFrame(drawAll); };

const screenX = (x) => halfX + (x - view.x) * view.scale, screenY = (y) => halfY + (y - view.y) * view.scale;
const far = (unit, x, y) => Math.hypot(unit.x - x, unit.y - y);
const nearest = (x, y) => units.reduce((best, unit) => (far(unit, x, y) < far(best, x, y) ? unit : best));
const middle = () => nearest(view.x, view.y);
const spot = (event) => { const box = wall.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
// The link over a unit: under the pointer, or where the arrow keys have led.
const aim = (unit) => {
  here.hidden = !unit;
  if (unit) {
    const x = screenX(unit.x), y = screenY(unit.y), side = Math.max(24, view.scale);
    here.style.cssText = `left: ${x}px; top: ${y}px; width: ${side}px; height: ${side}px`;
    here.className = `${y > halfY ? "above" : ""} ${x > halfX ? "left" : ""}`;
    if (unit !== at) { here.href = `${unit.layer.folder}/${unit.channel}.html`; here.firstChild.textContent = unit.title; }
  }
  at = unit;
};
const point = (event) => {
  const [left, top] = spot(event), x = view.x + (left - halfX) / view.scale, y = view.y + (top - halfY) / view.scale, unit = nearest(x, y);
  aim(far(unit, x, y) < .7 && unit);
};
const clamp = (scale) => limit(fit * .8, scale, LARGEST);
const go = (x, y, scale) => {
  view = { x: limit(0, x, wide), y: limit(0, y, high), scale: clamp(scale) };
  draw();
};
const isWhole = () => view.scale <= fit * 1.001;
const zoom = (factor, x = halfX, y = halfY) => {
  if (!factor) { go(wide / 2, high / 2, fit); return; }
  const turn = 1 / view.scale - 1 / clamp(view.scale * factor);
  go(view.x + (x - halfX) * turn, view.y + (y - halfY) * turn, view.scale * factor);
};
const resize = () => {
  const before = view && !isWhole() && middle(), ratio = Math.min(2, devicePixelRatio);
  halfX = wall.clientWidth / 2;
  halfY = wall.clientHeight / 2;
  Object.assign(canvas, { width: 2 * halfX * ratio, height: 2 * halfY * ratio });
  pen.scale(ratio, ratio);
  arrange();
  if (before) go(before.x, before.y, view.scale);
  else zoom(0);
};

const grip = () => {
  const [one, two = one] = fingers.values();
  return [(one[0] + two[0]) / 2, (one[1] + two[1]) / 2, Math.hypot(one[0] - two[0], one[1] - two[1])];
};
on(wall, "pointerdown", (event) => {
  if (event.button) return;
  if (!fingers.size) moved = 0;
  fingers.set(event.pointerId, spot(event));
  point(event);
});
on(wall, "pointermove", (event) => {
  if (!fingers.has(event.pointerId)) { point(event); return; }
  const [x, y, spread] = grip();
  fingers.set(event.pointerId, spot(event));
  const [nextX, nextY, nextSpread] = grip();
  moved += Math.hypot(nextX - x, nextY - y, nextSpread - spread);
  if (moved > 4) wall.setPointerCapture(event.pointerId);
  if (spread) zoom(nextSpread / spread, x, y);
  go(view.x - (nextX - x) / view.scale, view.y - (nextY - y) / view.scale, view.scale);
});
on(wall, "pointerup pointercancel", (event) => fingers.delete(event.pointerId));
on(wall, "click", (event) => {
  if (moved > 4) event.preventDefault();
  else if (at && !here.contains(event.target)) here.click();
});
on(wall, "wheel", (event) => {
  event.preventDefault();
  zoom(Math.exp(-event.deltaY * (event.deltaMode ? .05 : event.ctrlKey ? .01 : .002)), ...spot(event));
});
on(wall, "keydown", (event) => {
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], "+": 1.5, "=": 1.5, "-": .67, Home: 0 }[event.key];
  const from = at || middle();
  if (way === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  if (!way.length) { zoom(way, screenX(from.x), screenY(from.y)); return; }
  let next = from;
  for (let step = 1; next === from && step < 40; step += 1) next = nearest(from.x + step * way[0], from.y + step * way[1]);
  aim(next);
  if (!isWhole()) go(next.x, next.y, view.scale);
});
on(look, "click", ({ target }) => { if (target.type === "button") zoom(+target.value); });
on(look, "submit", (event) => {
  const unit = units.find((one) => !one.off);
  event.preventDefault();
  if (unit) { aim(unit); go(unit.x, unit.y, Math.max(view.scale, 112)); here.focus(); }
});
on(look, "input", ({ target }) => {
  if (target !== look.layer) { colour(); return; }
  arrange();
  aim(units[0]);
  zoom(0);
});
for (const name of ["layer", "colour", "tag", "find"]) choose(look[name]);
resize();
const first = units.find((unit) => unit.name === asked.get("at"));
aim(first || units[0]);
if (first) go(at.x, at.y, +asked.get("size") || fit);
new ResizeObserver(resize).observe(wall);
on(document, "click", draw);  // of the button for the theme
on(matchMedia("(prefers-color-scheme: dark)"), "change", draw);
}
