function set(made, attributes) {
    for (const [name, value] of Object.entries(attributes)) if (value != null) made.setAttribute(name, value);
    return made;
}

function element(space, tag, attributes = {}, ...children) {
    const made = set(document.createElementNS(space, tag), attributes);
    made.append(...children);
    return made;
}

const svg = (...all) => element("http://www.w3.org/2000/svg", ...all);
const html = (...all) => element("http://www.w3.org/1999/xhtml", ...all);
const shown = (thing, yes) => { thing.style.display = yes ? "" : "none"; };
const known = value => value != null && Number.isFinite(value);
const quiet = event => { event.preventDefault(); event.stopPropagation(); };
const at = x => ({ x1: x, x2: x });
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const scale = (low, high, from, to) => value => from + (value - low) / (high - low || 1) * (to - from);

export function plain(text) {
    const spelt = letter => "\\u" + letter.codePointAt(0).toString(16).padStart(4, "0");
    return text.replace(/[^\P{C}\n\t]/gu, spelt);
}

export function number(value) {
    if (!known(value)) return "–";
    if (Number.isInteger(value) || Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en");
    return String(+value.toPrecision(3));
}

export const share = value => known(value) ? (100 * value).toFixed(value < 0.1 ? 1 : 0) + " %" : "–";

export function place(sorted, value) { // of the first that is not below
    let low = 0, high = sorted.length;
    while (low < high) {
        const middle = (low + high) >> 1;
        [low, high] = sorted[middle] < value ? [middle + 1, high] : [low, middle];
    }
    return low;
}

export function ticks(low, high, n) { // about n round numbers between two ends
    const rough = (high - low) / n || 1;
    const ten = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5].map(k => k * ten).find(k => k >= rough) ?? 10 * ten;
    const [first, last] = [Math.ceil(low / step - 1e-9), Math.floor(high / step + 1e-9)];
    return Array.from({ length: Math.max(last - first + 1, 0) }, (_, i) => +((first + i) * step).toPrecision(12));
}

export function thin(points, most) { // [x, y], at most `most` of them
    if (points.length <= most) return points;
    const size = Math.ceil(2 * points.length / most), kept = [];
    for (let at = 0; at < points.length; at += size) {
        const order = points.slice(at, at + size).sort((a, b) => a[1] - b[1]);
        kept.push(...new Set([order[0], order.at(-1)]));
    }
    return kept.sort((a, b) => a[0] - b[0]);
}

class Chart {
    constructor(room, title, hint = "", kind = "") {
        Object.assign(this, { room, title, x: null, width: 0, height: 0 });
        this.name = html("b", {}, title);
        this.value = html("span", { class: "value" });
        this.svg = svg("svg", { role: "img", "aria-label": title });
        this.keys = html("div", { class: "keys" });
        const caption = html("figcaption", {}, this.name, this.value);
        const help = html("p", { class: "hint" }, hint);
        this.figure = html("figure", { class: kind }, caption, this.svg, this.keys, help);
        new ResizeObserver(([entry]) => this.resize(entry.contentRect)).observe(this.svg);
    }
    hear(reactions) { // where there is something to be seen
        for (const [name, react] of Object.entries(reactions))
            this.svg.addEventListener(name, event => { if (this.x) react.call(this, event); });
    }
    resize({ width, height }) {
        Object.assign(this, { width, height });
        if (width && height) this.draw();
    }
    clear() {
        set(this.svg, { viewBox: `0 0 ${this.width} ${this.height}` }).replaceChildren();
    }
    frame(xs, ys, { integer = false, percent = false, rows = false } = {}) { // axes, with their scales
        const { width, height } = this, letter = parseFloat(getComputedStyle(this.svg).fontSize);
        [this.left, this.right, this.top, this.bottom] =
            [3.2 * letter, width - 0.9 * letter, 0.6 * letter, height - 1.6 * letter];
        this.x = scale(...xs, this.left, this.right);
        this.y = scale(...ys, this.bottom, this.top);
        this.clear();
        for (const t of rows ? [] : ticks(...ys, Math.max(2, Math.floor(height / (3 * letter))))) {
            this.add("line", { class: "grid", x1: this.left, x2: this.right, y1: this.y(t), y2: this.y(t) });
            this.label(this.left - 5, this.y(t) + letter / 3, "end", percent ? String(Math.round(100 * t)) : number(t));
        }
        const along = ticks(...xs, Math.max(2, Math.floor(width / (5 * letter))));
        for (const t of new Set(integer ? along.map(Math.round) : along)) {
            const atEnd = number(t).length > 3 && this.x(t) > this.right - letter; // where it would be cut
            this.label(atEnd ? width : this.x(t), height - 0.3 * letter, atEnd ? "end" : "middle", number(t));
        }
        this.add("line", { class: "axis", x1: this.left, x2: this.right, y1: this.bottom, y2: this.bottom });
    }
    add(tag, attributes, ...children) { return this.svg.appendChild(svg(tag, attributes, ...children)); }
    label(x, y, anchor, text) { this.add("text", { x, y, "text-anchor": anchor }, text); }
    area() { return this.add("rect", { class: "picked", y: this.top, height: this.bottom - this.top }); }
    upright(kind) { return this.add("line", { class: kind, y1: this.top, y2: this.bottom }); }
    path(kind, points, tag = "polyline") { this.add(tag, { class: kind, points: points.join(" ") }); }
    dots(points, kind) { // where they do not hide the line
        if (points.length > 20) return;
        for (const [cx, cy] of points) this.add("circle", { class: `dot ${kind}`, cx, cy, r: 3 });
    }
    empty(why) { // nothing to draw yet
        this.clear();
        this.label(this.width / 2, this.height / 2, "middle", why);
        this.value.textContent = "";
        this.keys.replaceChildren();
        this.x = null;
    }
    under(event) { return event.clientX - this.svg.getBoundingClientRect().left; } // pixels of the picture
    key(text, kind) { return html("span", { class: `key ${kind}` }, text); }
    inWords(text) { set(this.svg, { "aria-label": `${this.title}: ${text}` }); }
    mark() {}
}

class RoundChart extends Chart {
    constructor(room, title, hint) {
        super(room, title, hint);
        const hover = event => room.hover(this.round(event)), choose = event => room.choose(this.round(event));
        this.hear({ pointermove: hover, pointerleave: () => room.hover(null), click: choose });
    }
    round(event) { // that lies nearest
        const far = round => Math.abs(this.x(round) - this.under(event));
        return this.room.rounds.reduce((best, round) => far(round) < far(best) ? round : best);
    }
}

class Curves extends RoundChart {
    constructor(room, { title, columns, percent, band, hint }) {
        super(room, title, hint);
        Object.assign(this, { columns, percent, band });
    }
    column(name) { return this.room.history[name] ?? []; }
    draw() {
        const { rounds } = this.room;
        this.names = Object.keys(this.columns).filter(name => this.column(name).some(known));
        const values = [...this.names, ...this.band].flatMap(name => this.column(name)).filter(known);
        if (!this.names.length) return this.empty("from the first round on");
        const low = Math.min(...values), high = Math.max(...values), air = 0.04 * (high - low || 1);
        const ys = this.percent ? [0, 1.02] : [low >= 0 && low < high / 2 ? 0 : low - air, high + air];
        const xs = [Math.min(...rounds), Math.max(...rounds, rounds[0] + 1)];
        this.frame(xs, ys, { integer: true, percent: this.percent });
        this.chosen = this.upright("chosen");
        this.hovered = this.upright("hovered");
        const [lower = [], upper = []] = this.band.map(name => this.points(name));
        this.path("band", [...lower, ...upper.reverse()], "polygon");
        this.names.forEach((name, k) => this.path(`curve c${k} dash${k}`, this.points(name)));
        this.names.forEach((name, k) => this.dots(this.points(name), `c${k}`));
        this.marks = this.names.map((_, k) => this.key("", `c${k}`));
        this.keys.replaceChildren(...this.marks);
        this.mark();
    }
    points(name) {
        const pairs = this.room.rounds.map((round, i) => [round, this.column(name)[i]]);
        return pairs.filter(pair => known(pair[1])).map(([round, value]) => [this.x(round), this.y(value)]);
    }
    mark() { // the chosen round, and the one under the pointer
        if (!this.x) return;
        const { room } = this, i = room.rounds.indexOf(room.hovering ?? room.round);
        for (const [line, round] of [[this.chosen, room.round], [this.hovered, room.hovering]])
            shown(set(line, at(this.x(round ?? 0))), room.rounds.includes(round));
        const say = this.percent ? share : number, value = name => i < 0 ? "" : say(this.column(name)[i]);
        this.names.forEach((name, k) => { this.marks[k].textContent = `${this.columns[name]} ${value(name)}`; });
        this.inWords(`round ${room.rounds[i]}, ${this.marks.map(mark => mark.textContent).join(", ")}`);
    }
}

class Scores extends Chart {
    constructor(room, hint) {
        super(room, "scores", hint, "wide");
        this.said = html("output", { class: "said", "aria-live": "polite" });
        this.keys.after(this.said);
        const leave = () => { this.value.textContent = ""; };
        this.hear({ pointerdown: this.press, pointermove: this.point, pointerleave: leave, keydown: this.turn });
    }
    draw() {
        const s = this.room.scores;
        if (!s.n) return this.empty("from the first round on");
        const all = s.open.map((n, i) => n + s.closed[i]);
        this.name.textContent = s.title;
        this.frame([s.edges[0], s.edges.at(-1)], [0, 1.05 * Math.max(...all, 1)]);
        this.bars("closed", i => 0, s.closed);
        this.bars("rejected", i => s.closed[i], all);
        this.kept = this.bars("kept", i => all[i], all);
        this.picked = this.area();
        const right = this.rightAbove();
        if (right.length) this.path("curve c3", right);
        if (s.own) set(this.upright("used"), at(this.x(s.theta)));
        this.handle = this.grip();
        const keys = [this.key("kept", "kept"), this.key(s.own ? "below θ" : "not kept", "rejected")];
        if (s.closed.some(n => n)) keys.push(this.key("copies, unfinished", "closed"));
        if (right.length) keys.push(this.key("right among the kept, 0 to 100 %", "c3"));
        this.keys.replaceChildren(...keys);
        this.mark();
    }
    bars(kind, from, to) {
        const { edges } = this.room.scores;
        return to.map((n, i) => {
            const x = this.x(edges[i]) + 0.5, width = Math.max(1, this.x(edges[i + 1]) - x - 0.5);
            return this.add("rect", { class: kind, x, width, y: this.y(n), height: this.y(from(i)) - this.y(n) });
        });
    }
    keptIn(i) { // how many of a bar
        const { edges, open, kept, own } = this.room.scores, { theta, moved } = this.room;
        if (!own && !moved) return kept[i];
        const above = i === open.length - 1 ? 0 : this.room.keeps(edges[i + 1]);
        return clamp(this.room.keeps(Math.max(theta, edges[i])) - above, 0, open[i]);
    }
    rightAbove() { // of what each theta keeps, the share that is right
        const { theta, right, known } = this.room.table, y = scale(0, 1, this.bottom, this.top);
        return Array.from(theta, (t, j) => [this.x(t), y(right[j] / known[j])]).filter((_, j) => known[j]);
    }
    grip() {
        const { edges } = this.room.scores;
        const range = { "aria-label": "theta", "aria-valuemin": edges[0], "aria-valuemax": edges.at(-1) };
        const area = svg("rect", { x: -9, width: 18, height: this.bottom });
        const parts = [area, svg("line", { y1: this.top, y2: this.bottom }), svg("circle", { cy: this.top + 5, r: 6 })];
        return this.add("g", { class: "theta", role: "slider", tabindex: 0, ...range }, ...parts);
    }
    inside(theta) { return clamp(theta, this.room.scores.edges[0], this.room.scores.edges.at(-1)); }
    mark() { // where theta is, and what it would keep
        if (!this.x) return;
        const { room } = this, x = this.x(this.inside(room.theta));
        this.kept.forEach((bar, i) => set(bar, { height: this.y(0) - this.y(this.keptIn(i)) }));
        const { n, text } = room.wouldKeep(), bar = room.picked;
        set(this.handle, { transform: `translate(${x},0)`, "aria-valuenow": room.theta, "aria-valuetext": text });
        this.said.textContent = text;
        this.said.classList.toggle("alarm", !n);
        shown(this.picked, bar?.round === room.scores.round);
        if (bar) set(this.picked, { x: this.x(bar.low), width: this.x(bar.high) - this.x(bar.low) });
    }
    bar(event) { // its number, -1 beside them
        const { edges } = this.room.scores, x = this.under(event);
        return edges.slice(0, -1).findIndex((edge, i) => x >= this.x(edge) && x <= this.x(edges[i + 1]));
    }
    press(event) {
        const isGrip = Math.abs(this.under(event) - this.x(this.inside(this.room.theta))) < 9;
        if (!isGrip) return this.room.pick(this.bar(event));
        event.preventDefault();
        this.svg.setPointerCapture(event.pointerId);
        this.dragging = true;
        this.handle.focus();
        const release = () => { this.dragging = false; this.room.settle(); };
        this.svg.addEventListener("pointerup", release, { once: true });
    }
    point(event) {
        const { edges, open, closed } = this.room.scores, i = this.bar(event);
        const theta = scale(this.left, this.right, edges[0], edges.at(-1))(this.under(event));
        if (this.dragging) return this.room.moveTheta(this.inside(theta));
        const stretch = () => `${number(edges[i])} to ${number(edges[i + 1])}: ${number(open[i] + closed[i])}`;
        this.value.textContent = i < 0 ? "" : `${stretch()}, click to read`;
    }
    turn(event) { // theta by keys
        const by = { ArrowLeft: -1, ArrowRight: 1, PageDown: -10, PageUp: 10 }[event.key];
        if (!by) return;
        quiet(event);
        const { edges } = this.room.scores, step = (edges.at(-1) - edges[0]) / 200;
        this.room.moveTheta(this.inside(this.room.theta + by * step));
        this.room.settle();
    }
}

class Spread extends RoundChart {
    round(event) {
        const { rounds = [] } = this.room.spread;
        const down = event.clientY - this.svg.getBoundingClientRect().top - this.top;
        return rounds[clamp(Math.floor(down / this.row), 0, rounds.length - 1)] ?? null;
    }
    draw() {
        const { rounds, edges, shares, thetas } = this.room.spread;
        if (!rounds?.length) return this.empty("from the first round on");
        this.frame([edges[0], edges.at(-1)], [0, 1], { rows: true });
        this.row = (this.bottom - this.top) / rounds.length;
        const most = Math.max(...shares.flat()), every = Math.ceil(14 / this.row);
        rounds.forEach((round, k) => {
            const y = this.top + k * this.row;
            if (k % every === 0) this.label(this.left - 5, y + this.row / 2 + 4, "end", number(round));
            shares[k].forEach((value, i) => this.shade(edges[i], edges[i + 1], y, value / most));
            if (!known(thetas[k])) return;
            const x = this.x(clamp(thetas[k], edges[0], edges.at(-1)));
            this.add("line", { class: "used", x1: x, x2: x, y1: y, y2: y + this.row });
        });
        this.chosen = this.add("rect", { class: "row", x: this.left, width: this.right - this.left, height: this.row });
        this.mark();
    }
    shade(low, high, y, value) {
        if (!value) return;
        const x = this.x(low), width = this.x(high) - x + 0.3, height = Math.max(0.5, this.row - 1);
        const opacity = (0.08 + 0.92 * Math.sqrt(value)).toFixed(3);
        this.add("rect", { class: "shade", x, y: y + 0.5, width, height, "fill-opacity": opacity });
    }
    mark() {
        if (!this.x) return;
        const { rounds } = this.room.spread, k = rounds.indexOf(this.room.hovering ?? this.room.round);
        shown(this.chosen, k >= 0);
        set(this.chosen, { y: this.top + Math.max(k, 0) * this.row });
        this.value.textContent = k < 0 ? "" : `round ${rounds[k]}`;
        this.inWords(`rounds ${rounds[0]} to ${rounds.at(-1)}, ${this.value.textContent}`);
    }
}

class Losses extends Chart {
    constructor(room, hint) {
        super(room, "loss, nats a token", hint);
        const back = () => { this.part = null; this.draw(); };
        this.hear({ pointerdown: this.press, pointermove: this.point, pointerup: this.zoom, dblclick: back });
    }
    lay() { // the rounds one after the other
        let start = 0;
        [this.all, this.ends] = [[], []];
        for (const [round, steps, losses] of this.room.losses) {
            steps.forEach((step, i) => { if (known(losses[i])) this.all.push([start + step, losses[i], round]); });
            start += steps.at(-1) ?? 0;
            this.ends.push([start, this.room.history.heldout_loss?.[this.room.rounds.indexOf(round)]]);
        }
    }
    draw() {
        this.lay();
        if (!this.all.length) return this.empty("while the model is tuned");
        const xs = this.span, isIn = point => point[0] >= xs[0] && point[0] <= xs[1];
        const heldout = this.ends.filter(point => known(point[1]) && isIn(point));
        const training = thin(this.all.filter(isIn), 2 * this.width);
        const values = [...training, ...heldout].map(point => point[1]);
        const low = this.part ? Math.min(...values) : Math.min(0, ...values);
        this.frame(xs, [low, 1.02 * Math.max(...values, low + 1e-9)], { integer: true });
        for (const [round] of this.room.losses) {
            const own = training.filter(point => point[2] === round);
            if (own.length) this.path(`curve thin c0 of${round}`, this.pixels(own));
        }
        this.path("curve c2 dash2", this.pixels(heldout));
        this.dots(this.pixels(heldout), "c2");
        this.keys.replaceChildren(this.key("training", "c0"));
        if (heldout.length) this.keys.append(this.key("held-out, after each round", "c2"));
        this.hovered = this.upright("hovered");
        this.brush = this.area();
        for (const mark of [this.hovered, this.brush]) shown(mark, false);
        this.inWords(this.near(this.all.length - 1));
        this.mark();
    }
    get span() { return this.part ?? [0, this.all.at(-1)[0]]; }
    step(pixels) { return scale(this.left, this.right, ...this.span)(pixels); }
    near(i) {
        const [step, loss, round] = this.all[i];
        return `${number(loss)} at step ${number(step)}, round ${round}`;
    }
    pixels(points) { return points.map(([step, loss]) => [this.x(step), this.y(loss)]); }
    mark() {
        if (!this.x) return;
        const chosen = `of${this.room.hovering ?? this.room.round}`;
        for (const curve of this.svg.querySelectorAll(".thin"))
            curve.classList.toggle("strong", curve.classList.contains(chosen));
    }
    press(event) {
        this.from = this.under(event);
        this.svg.setPointerCapture(event.pointerId);
    }
    point(event) {
        const here = this.under(event), steps = this.all.map(point => point[0]);
        const i = clamp(place(steps, this.step(here)), 0, steps.length - 1);
        this.value.textContent = this.near(i);
        shown(this.hovered, true);
        set(this.hovered, at(this.x(steps[i])));
        if (this.from == null) return;
        shown(this.brush, true);
        set(this.brush, { x: Math.min(here, this.from), width: Math.abs(here - this.from) });
    }
    zoom(event) {
        const ends = [this.from, this.under(event)].sort((a, b) => a - b);
        this.from = null;
        if (ends[1] - ends[0] < 5) return shown(this.brush, false);
        this.part = ends.map(end => this.step(end));
        this.draw();
    }
}

function card(row) {
    const isChinese = /[\u3040-\u9fff]/.test(row.completion);
    const text = html("pre", { lang: isChinese ? "zh" : null }, html("span", { class: "prompt" }, plain(row.prompt)));
    if (row.thought) {
        const title = html("summary", {}, `thought, ${number(row.thought.length)} characters`);
        text.append(html("details", {}, title, html("pre", {}, plain(row.thought))));
    }
    text.append(html("b", {}, plain(row.completion)));
    if (row.more) text.append(html("i", {}, ` … ${number(row.more)} more characters`));
    const why = `${known(row.score) ? ` ${number(row.score)}` : ""}${row.reason ? ` · ${plain(row.reason)}` : ""}`;
    const verdict = html("small", {}, html("b", {}, row.state), why);
    const made = html("div", { class: `card ${row.state}`, role: "listitem", tabindex: 0 }, text, verdict);
    made.addEventListener("click", () => made.classList.add("open"));
    return made;
}

function remembered() {
    try { return localStorage.getItem("selfloop-explained"); } catch { return "false"; }
}

class Room {
    constructor(model, el) {
        Object.assign(this, { model, hovering: null, picked: null, moved: false, work: [] });
        this.read();
        this.losses = structuredClone(model.get("losses"));
        set(el, { style: `font-size: ${12 * model.get("scale")}px` }).classList.add("selfloop-frame");
        el.append(this.build());
        this.lay();
        this.listen();
        this.show(model.get("samples"));
    }
    lay() { // a chart for each panel
        const hints = this.model.get("hints"), curves = this.model.get("panels").map(panel => new Curves(this, panel));
        this.scoresChart = new Scores(this, hints.scores);
        this.lossChart = new Losses(this, hints.loss);
        const spread = new Spread(this, "scores by round", hints.spread);
        this.charts = [this.scoresChart, spread, ...curves.slice(0, 4), this.lossChart, ...curves.slice(4)];
        this.place.replaceChildren(...this.charts.map(chart => chart.figure));
    }
    build() {
        this.place = html("div", { class: "charts" });
        this.note = html("div", { class: "note", "aria-live": "polite" });
        this.cards = html("div", { class: "cards", role: "list", "aria-label": "samples" });
        this.data = html("details", { class: "data" }, html("summary", {}, "table"), html("div"));
        this.data.addEventListener("toggle", () => this.tabulate());
        this.help = html("button", { class: "help", type: "button" }, "explain the charts");
        this.help.addEventListener("click", () => this.explain(!this.root.classList.contains("explained")));
        const about = { role: "group", "aria-label": "charts of the run: the arrow keys go through the rounds" };
        const rest = [this.place, html("aside", {}, this.note, this.cards), html("footer", {}, this.help, this.data)];
        this.root = html("div", { class: "selfloop-room", tabindex: 0, ...about }, ...rest);
        set(this.root, { "data-lm-suppress-shortcuts": "true" }); // JupyterLab's own keys stay out
        this.root.addEventListener("keydown", event => this.key(event));
        this.explain(remembered() !== "false");
        return this.root;
    }
    explain(yes) { // a first visit is shown what the charts mean, until that is pressed away
        this.root.classList.toggle("explained", yes);
        this.help.textContent = yes ? "hide the explanations" : "explain the charts";
        try { localStorage.setItem("selfloop-explained", yes); } catch { /* a page without a memory */ }
    }
    listen() {
        const on = (names, work) => this.model.on(names.split(" ").map(name => `change:${name}`).join(" "), work);
        on("history spread scores table round", () => this.later(() => { this.read(); this.draw(); }));
        on("panels", () => this.lay());
        on("losses", () => { this.losses = structuredClone(this.model.get("losses")); this.later(() => this.draw()); });
        on("samples", () => this.show(this.model.get("samples")));
        this.model.on("msg:custom", message => this.hear(message));
    }
    read() {
        for (const name of ["history", "spread", "scores", "round"]) this[name] = this.model.get(name);
        this.rounds = this.history.round ?? [];
        const { buffer, byteOffset, byteLength } = this.model.get("table");
        const all = new Float64Array(buffer.slice(byteOffset, byteOffset + byteLength)), n = all.length / 6;
        const names = ["theta", "kept", "right", "known", "fresh", "bigrams"];
        this.table = Object.fromEntries(names.map((name, k) => [name, all.subarray(k * n, (k + 1) * n)]));
        if (this.seen === this.scores.key) return;
        Object.assign(this, { seen: this.scores.key, theta: this.scores.theta ?? 0, moved: false });
    }
    later(work) { // once a frame
        this.work.push(work);
        if (this.work.length === 1) requestAnimationFrame(() => { for (const one of this.work.splice(0)) one(); });
    }
    draw() {
        this.charts.filter(chart => chart.width).forEach(chart => chart.draw());
        this.tabulate();
    }
    mark() { for (const chart of this.charts) chart.mark(); }
    keeps(theta) { return this.table.kept[place(this.table.theta, theta)] ?? 0; } // how many
    wouldKeep() {
        const { table, scores } = this, j = place(table.theta, this.theta), n = this.keeps(this.theta);
        const part = (a, b) => b[j] ? a[j] / b[j] : NaN;
        const verb = scores.own && this.theta === scores.theta ? "keeps" : "would keep";
        const parts = [`θ ${number(this.theta)} ${verb} ${number(n)} of ${number(scores.n)} (${share(n / scores.n)})`];
        if (table.known[0]) parts.push(`right ${share(part(table.right, table.known))}`);
        parts.push(`distinct-2 ${number(part(table.fresh, table.bigrams))}`);
        return { n, text: parts.join(" · ") };
    }
    moveTheta(theta) { // to a theta that stands in the table, where it does not hold every score: what is said is exact
        const { table } = this, j = place(table.theta, theta);
        this.theta = !this.scores.every && j < table.theta.length ? table.theta[j] : theta;
        this.moved = true;
        this.scoresChart.mark();
    }
    settle() { this.tell("theta", this.theta); }
    tell(name, value) {
        this.model.set(name, value);
        this.model.save_changes();
    }
    hover(round) {
        [this.hovering, round] = [round, this.hovering];
        if (round !== this.hovering) this.mark();
    }
    choose(round) {
        if (round == null || round === this.round) return;
        Object.assign(this, { round, picked: null });
        this.mark();
        this.tell("round", round);
    }
    pick(i) { // a bar: its samples, please
        if (i < 0) return;
        const { edges, key, round } = this.scores;
        this.picked = { round, low: edges[i], high: edges[i + 1], last: i === edges.length - 2 };
        this.scoresChart.mark();
        this.model.send({ ask: "samples", key, ...this.picked });
    }
    key(event) {
        const i = this.rounds.indexOf(this.round), last = this.rounds.length - 1;
        const to = { ArrowLeft: i - 1, ArrowRight: i + 1, Home: 0, End: last }[event.key];
        if (event.key === "Escape" && this.picked) this.letGo();
        else if (to != null) this.choose(this.rounds[clamp(to, 0, last)]);
        else return;
        quiet(event);
    }
    letGo() {
        this.picked = null;
        this.mark();
        this.model.send({ ask: "samples", key: this.scores.key });
    }
    hear(message) {
        if (message.kind === "samples") this.show(message);
        if (message.kind !== "loss") return;
        if (this.losses.at(-1)?.[0] !== message.round) this.losses.push([message.round, [], []]);
        this.losses.at(-1)[1].push(...message.steps);
        this.losses.at(-1)[2].push(...message.losses);
        this.later(() => { if (this.lossChart.width) this.lossChart.draw(); });
    }
    show({ title = "", rows = [] }) {
        this.note.textContent = title;
        this.cards.replaceChildren(...rows.map(card));
        this.cards.scrollTop = 0;
    }
    tabulate() { // the same numbers to read aloud, and to copy
        if (!this.data.open) return;
        const names = Object.keys(this.history);
        const row = (tag, texts) => html("tr", {}, ...texts.map(text => html(tag, {}, text)));
        const rows = this.rounds.map((_, i) => row("td", names.map(name => number(this.history[name][i]))));
        this.data.lastChild.replaceChildren(html("table", {}, row("th", names), ...rows));
    }
}

function render({ model, el }) {
    el.room = new Room(model, el);
    return () => el.room.root.remove();
}

export default { render };
