"use strict";
/* Guess the unit: twenty questions drawn from the data of the page by a seed. */
{
const QUESTIONS = 20;
const { make, asked, keepInUrl } = window.atlas;
const random = (seed) => () => {  // mulberry32
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};
const pick = (list, next) => list[Math.floor(next() * list.length)];
const shuffle = (list, next) => {
  const mixed = [...list];
  for (let at = mixed.length - 1; at > 0; at -= 1) {
    const other = Math.floor(next() * (at + 1));
    [mixed[at], mixed[other]] = [mixed[other], mixed[at]];
  }
  return mixed;
};

// The questions of a game, by settings and seed.
const draw = (data, { task, shown, layer, odd, seed }) => {
  const next = random(seed);
  let units = data.units.filter((unit) => (layer === "" || unit.layer === +layer) && (odd || unit.plain));
  const mates = (unit) => units.filter((other) => other.layer === unit.layer && other !== unit);
  if (task === "four") units = units.filter((unit) => mates(unit).length > 2);
  if (!units.length) return [];
  const order = [];
  while (order.length < QUESTIONS) order.push(...shuffle(units, next));
  return order.slice(0, QUESTIONS).map((unit, at) => {
    const kind = task === "four" ? "photographs" : shown === "mixed" ? ["picture", "photographs", "both"][at % 3] : shown;
    if (task === "four") {
      const choices = shuffle([unit, ...shuffle(mates(unit), next).slice(0, 3)], next);
      const row = data.units.filter((other) => other.layer === unit.layer);
      const fits = unit.fits.length ? choices.map((one) => unit.fits[row.indexOf(one)]) : null;
      return { unit, kind, choices, right: choices.indexOf(unit), machine: fits && fits.indexOf(Math.max(...fits)) };
    }
    const choices = shuffle([pick(unit.high, next), pick(unit.low, next)], next);
    const score = (one) => (kind === "picture" ? one.by_picture : kind === "photographs" ? one.by_photographs : one.by_picture + one.by_photographs);
    return { unit, kind, choices, right: choices[0].activation > choices[1].activation ? 0 : 1,
      machine: choices[0].by_picture == null ? null : score(choices[0]) > score(choices[1]) ? 0 : 1 };
  });
};
window.atlasQuizDraw = draw;

const start = () => {
  const data = JSON.parse(document.getElementById("questions").textContent);
  const setup = document.getElementById("setup"), stage = document.getElementById("quiz");
  const photo = (image, words) => make("img", { src: `images/${image}.jpg`, width: 224, height: 224, alt: words });
  const nameOf = (unit) => `${data.layers[unit.layer]}:${unit.channel}`;
  const number = (value) => Number(value.toPrecision(3)).toString().replace("-", "−");
  let game = [], answers = [], settings = null;

  const strip = (images, words) => make("figure", {}, make("span", { className: "shots nine" },
    ...images.map((image, at) => photo(image, `Photograph ${at + 1} that ${words}`))), make("figcaption", { textContent: `Photographs that ${words}` }));
  const references = ({ unit, kind }) => {
    const shown = [];
    if (kind !== "picture") shown.push(strip(unit.strong, "excite it most"), strip(unit.weak, "excite it least"));
    if (kind !== "photographs") shown.unshift(make("figure", {}, make("img", { src: unit.image, width: 448, height: 448, alt: "Rendering of the unit" }), make("figcaption", { textContent: "Its picture" })));
    return shown;
  };
  const table = (head, rows) => make("table", {}, make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { textContent: text })))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((text) => make("td", { textContent: text }))))));
  const share = (list, right) => (list.length ? `${list.filter(right).length} of ${list.length}` : "–");
  const mine = (one) => one.answer === one.question.right, theirs = (one) => one.question.machine === one.question.right;

  const result = () => {
    const row = (name, list) => [name, share(list, mine), list.some((one) => one.question.machine == null) ? "–" : share(list, theirs)];
    const kinds = [...new Set(answers.map((one) => one.question.kind))];
    const layers = [...new Set(answers.map((one) => one.question.unit.layer))].sort((a, b) => a - b);
    const chance = settings.task === "four" ? "a quarter" : "half";
    const lines = ["question,task,shown,layer,channel,choices,activations,answer,right,machine",
      ...answers.map(({ question, answer }, at) => [at + 1, settings.task, question.kind, JSON.stringify(data.layers[question.unit.layer]), question.unit.channel,
        question.choices.map((one) => one.image ?? one.channel).join(" "), question.choices.map((one) => one.activation ?? "").join(" "), answer + 1, question.right + 1,
        question.machine == null ? "" : question.machine + 1].join(","))];
    stage.replaceChildren(make("h2", { textContent: `${answers.filter(mine).length} of ${answers.length} right`, tabIndex: -1 }),
      make("p", { textContent: `Chance is ${chance}.${data.observer ? ` ${data.observer} answers the same questions.` : ""}` }),
      table(["", "you", data.observer || "machine"], [row("all", answers), ...kinds.map((kind) => row(`shown: ${kind}`, answers.filter((one) => one.question.kind === kind))),
        ...layers.map((layer) => row(data.layers[layer], answers.filter((one) => one.question.unit.layer === layer)))]),
      make("p", { className: "bar" },
        make("a", { className: "go", href: URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" })), download: "quiz.csv", textContent: "Download my answers" }),
        make("button", { type: "button", textContent: "Twenty others", onclick: () => begin({ ...settings, seed: settings.seed + 1 }) })));
    stage.firstChild.focus();
  };
  const answer = (choice) => {
    const at = answers.length, question = game[at];
    answers.push({ question, answer: choice });
    const buttons = [...stage.querySelectorAll(".choices button")];
    buttons.forEach((button, place) => {
      button.disabled = true;
      button.classList.add(place === question.right ? "right" : "wrong");
      const one = question.choices[place];
      button.append(make("span", { className: "value", textContent: one.activation === undefined ? nameOf(one) : number(one.activation) }));
    });
    const machine = question.machine == null ? "" : ` ${data.observer} is ${question.machine === question.right ? "right" : "wrong"} too.`.replace(" too", (question.machine === question.right) === (choice === question.right) ? " too" : "");
    const next = make("button", { type: "button", className: "next", textContent: at + 1 < game.length ? "Next" : "Result", onclick: () => (at + 1 < game.length ? show() : result()) });
    stage.querySelector(".said").replaceChildren(make("b", { textContent: choice === question.right ? "Right." : "Wrong." }),
      ` It is `, make("a", { href: question.unit.page, textContent: nameOf(question.unit) }), `.${machine} ${answers.filter(mine).length} of ${answers.length} so far. `, next);
    next.focus();
  };
  const show = () => {
    const at = answers.length, question = game[at], four = settings.task === "four";
    stage.replaceChildren(make("h2", { textContent: `${at + 1} of ${game.length}: ${four ? "which unit likes these photographs?" : "which photograph excites the unit more?"}` }),
      make("div", { className: "shown" }, ...(four ? [strip(question.unit.strong, "excite it most")] : references(question))),
      make("div", { className: `choices n${question.choices.length}` }, ...question.choices.map((one, place) => make("button", { type: "button", onclick: () => answer(place) },
        four ? make("img", { src: one.image, width: 224, height: 224, alt: `Picture ${place + 1}` }) : photo(one.image, `Photograph ${place + 1}`), make("kbd", { textContent: place + 1 })))),
      make("p", { className: "said", role: "status" }, `Press ${question.choices.map((_, place) => place + 1).join(" or ")}. ${data.layers[question.unit.layer]}.`));
  };
  const begin = (chosen) => {
    settings = chosen;
    game = draw(data, chosen);
    answers = [];
    keepInUrl({ ...chosen, odd: chosen.odd ? 1 : "" });
    stage.hidden = false;
    if (game.length) show();
    else stage.replaceChildren(make("p", { className: "none", textContent: "Nothing can be asked with these settings: choose all layers, or units that fail a gate too." }));
  };
  for (const name of ["task", "shown", "layer"]) if (asked.has(name)) setup[name].value = asked.get(name);
  setup.odd.checked = asked.has("odd");
  setup.addEventListener("submit", (event) => {
    event.preventDefault();
    begin({ task: setup.task.value, shown: setup.shown.value, layer: setup.layer.value, odd: setup.odd.checked, seed: Math.floor(Math.random() * 1e6) });
    stage.scrollIntoView();
  });
  addEventListener("keydown", (event) => {
    if (event.target.closest("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    const button = stage.querySelectorAll(".choices button:not(:disabled)")[+event.key - 1];
    if (button) { event.preventDefault(); button.click(); }
  });
  if (asked.has("seed")) begin({ task: setup.task.value, shown: setup.shown.value, layer: setup.layer.value, odd: setup.odd.checked, seed: +asked.get("seed") || 0 });
};
addEventListener("DOMContentLoaded", start);
}
