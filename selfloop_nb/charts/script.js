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
const filled = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
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

const ends = values => values.reduce(([low, high], x) => [Math.min(low, x), Math.max(high, x)], [Infinity, -Infinity]);
const nearest = (all, far) => all.reduce((a, b) => far(b) < far(a) ? b : a, all[0]);
const sameLine = name => name.split("/")[0]; // "run/column": one run in every chart

export function place(sorted, value) { // of the first that is not below
    const i = sorted.findIndex(x => x >= value);
    return i < 0 ? sorted.length : i;
}

export function ticks(low, high, n) { // about n round numbers between two ends
    const rough = (high - low) / n || 1;
    const ten = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5].map(k => k * ten).find(k => k >= rough) ?? 10 * ten;
    const [first, last] = [Math.ceil(low / step - 1e-9), Math.floor(high / step + 1e-9)];
    return Array.from({ length: Math.max(last - first + 1, 0) }, (_, i) => +((first + i) * step).toPrecision(12));
}

const EVENTS = ["pointermove", "pointerleave", "pointerdown", "pointerup", "click", "dblclick", "keydown"];

class Chart { // hears each event for which it has a method of that name
    constructor(room, title = "", hint = "", kind = "") {
        Object.assign(this, { room, title, x: null, width: 0, height: 0 });
        this.name = html("b", {}, title);
        this.value = html("span", { class: "value" });
        this.svg = svg("svg", { role: "img", "aria-label": title });
        this.keys = html("div", { class: "keys" });
        const caption = html("figcaption", {}, this.name, this.value);
        const help = html("p", { class: "hint" }, hint);
        this.figure = html("figure", { class: kind }, caption, this.svg, this.keys, help);
        new ResizeObserver(([entry]) => this.resize(entry.contentRect)).observe(this.svg);
        const hear = event => { if (this.x) this[event.type]?.(event); }; // where there is something to be seen
        for (const name of EVENTS) this.svg.addEventListener(name, hear);
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
        this.letter = letter;
        [this.left, this.right, this.top, this.bottom] =
            [3.2 * letter, width - 0.9 * letter, 0.6 * letter, height - 1.6 * letter];
        this.x = scale(...xs, this.left, this.right);
        this.y = scale(...ys, this.bottom, this.top);
        this.clear();
        for (const t of rows ? [] : ticks(...ys, Math.max(3, Math.floor(height / (2.5 * letter))))) {
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
    path(kind, points, tag = "polyline") { return this.add(tag, { class: kind, points: points.join(" ") }); }
    dots(points, kind) { // where they do not hide the line
        const few = points.length > 20 ? [] : points;
        return few.map(([cx, cy]) => this.add("circle", { class: `dot ${kind}`, cx, cy }));
    }
    empty(why, early = "waiting") { // nothing to draw; or not yet, before the first round
        this.clear();
        const said = this.say(this.room.rounds.length > 1 ? why : early);
        this.label(this.width / 2, this.height / 2, "middle", said);
        this.value.textContent = "";
        this.keys.replaceChildren();
        this.x = null;
    }
    under(event) { // where the pointer is in the picture, which may be shown larger
        const { left, top, width } = this.svg.getBoundingClientRect(), times = this.width / width;
        return [times * (event.clientX - left), times * (event.clientY - top)];
    }
    say(...all) { return this.room.say(...all); }
    key(text, kind) { return html("span", { class: `key ${kind}` }, text); }
    inWords(text) { set(this.svg, { "aria-label": `${this.title}: ${text}` }); }
    mark() {}
}

class RoundChart extends Chart {
    pointermove(event) { this.room.hover(this.round(event)); }
    pointerleave() { this.room.hover(null); }
    click(event) { this.room.choose(this.round(event)); }
}

class Curves extends RoundChart {
    constructor(room, panel) {
        super(room, panel.title, panel.hint, panel.wide ? "wide" : "");
        this.panel = panel;
    }
    column(name) { return (this.isByRound ? this.room.history : this.room.others)[name] ?? []; }
    get isByRound() { return this.panel.along === "round"; }
    get along() { return this.isByRound ? this.room.rounds : this.column(this.panel.along); }
    draw() {
        const { columns, bands, percent } = this.panel, edges = Object.values(bands).flat();
        this.names = Object.keys(columns).filter(name => this.column(name).some(known));
        const values = [...this.names, ...edges].flatMap(name => this.column(name)).filter(known);
        if (!this.isByRound) this.name.textContent = this.room.others.title;
        if (!this.names.length) return this.empty("no_numbers");
        const [low, high] = ends(values), [first, last] = ends(this.along), air = 0.04 * (high - low || 1);
        const ys = percent ? [0, 1.02] : [low >= 0 && low < high / 2 ? 0 : low - air, high + air];
        const xs = [first, this.isByRound ? Math.max(last, first + 1) : last];
        this.frame(xs, ys, { integer: this.isByRound, percent });
        this.chosen = this.upright("chosen");
        this.hovered = this.upright("hovered");
        this.lines = this.names.map(name => this.line(name));
        this.marks = this.names.map(name => this.key("", this.look(name)));
        this.marks.forEach((mark, k) => mark.addEventListener("pointerenter", () => this.room.light(this.names[k])));
        this.keys.replaceChildren(...this.marks);
        this.mark();
    }
    look(name) { // the colour of its place, also where another column is missing
        const k = Object.keys(this.panel.columns).indexOf(name) % 7;
        return `c${k} dash${k}`;
    }
    line(name) {
        const [lower = [], upper = []] = (this.panel.bands[name] ?? []).map(edge => this.points(edge));
        const points = this.points(name), look = this.look(name), parts = this.dots(points, look);
        if (lower.length) parts.push(this.path(`band ${look}`, [...lower, ...upper.reverse()], "polygon"));
        return [...parts, this.path(`curve ${look}`, points)];
    }
    points(name) {
        const column = this.column(name), pairs = this.along.map((x, i) => [x, column[i]]);
        return pairs.filter(pair => known(pair[1])).map(([x, value]) => [this.x(x), this.y(value)]);
    }
    place(event) { // along the axis
        const [here] = this.under(event);
        return nearest(this.along, x => Math.abs(this.x(x) - here));
    }
    round(event) { return this.isByRound ? this.place(event) : null; }
    pointermove(event) {
        const x = this.place(event), i = this.along.indexOf(x), [, down] = this.under(event);
        const there = this.names.filter(name => known(this.column(name)[i]));
        this.room.light(nearest(there, name => Math.abs(this.y(this.column(name)[i]) - down)) ?? null);
        this.point(x);
    }
    pointerleave() {
        this.room.light(null);
        this.point(null);
    }
    point(x) { // a round in every chart, a score in this one
        if (this.isByRound) return this.room.hover(x);
        this.here = x;
        this.mark();
    }
    mark() { // the chosen round, the one under the pointer, and the line that stands out
        if (!this.x) return;
        const { round, hovering, lit } = this.room, write = this.panel.percent ? share : number;
        const [chosen, hovered] = this.isByRound ? [round, hovering] : [null, this.here];
        const put = (line, x) => shown(set(line, at(this.x(x ?? 0))), this.along.includes(x));
        put(this.chosen, chosen);
        put(this.hovered, hovered);
        const x = hovered ?? chosen, i = this.along.indexOf(x);
        this.names.forEach((name, k) => {
            const isDim = lit != null && sameLine(lit) !== sameLine(name);
            for (const part of [...this.lines[k], this.marks[k]]) part.classList.toggle("dim", isDim);
            this.marks[k].textContent = `${this.panel.columns[name]} ${i < 0 ? "" : write(this.column(name)[i])}`;
        });
        const place = this.isByRound ? this.say("round", { n: number(x) }) : number(x);
        this.inWords(`${place}, ${this.marks.map(mark => mark.textContent).join(", ")}`);
    }
}

class Scores extends Chart {
    constructor(room) {
        super(room, room.say("scores"), room.say("scores_hint"), "wide");
        set(this.svg, { role: "group" }); // it holds the handle, which Tab reaches
        this.said = html("output", { class: "said", "aria-live": "polite" });
        this.keys.after(this.said);
    }
    draw() {
        const s = this.room.scores;
        if (!s.n) return this.empty("no_samples", s.n === 0 ? "no_samples" : "waiting");
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
        const keys = { kept: this.say("kept"), rejected: this.say(s.by_theta ? "below" : "dropped") };
        if (s.closed.some(n => n)) keys.closed = this.say("closed");
        if (right.length) keys.c3 = this.say("right_above");
        this.keys.replaceChildren(...Object.entries(keys).map(([kind, text]) => this.key(text, kind)));
        if (s.unscored) this.keys.append(this.say("unscored", { n: number(s.unscored) }));
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
        const { edges, open, kept, by_theta } = this.room.scores, { theta, moved } = this.room;
        if (!by_theta && !moved) return kept[i];
        if (theta <= edges[i]) return open[i];
        const above = open.slice(i + 1).reduce((a, b) => a + b, 0);
        return clamp(this.room.keeps(theta) - above, 0, open[i]);
    }
    rightAbove() { // of what each theta keeps, the share that is right
        const { theta, right, known } = this.room.table, y = scale(0, 1, this.bottom, this.top);
        return Array.from(theta, (t, j) => [this.x(t), y(right[j] / known[j])]).filter((_, j) => known[j]);
    }
    grip() {
        const { edges } = this.room.scores;
        const range = { "aria-label": this.say("theta"), "aria-valuemin": edges[0], "aria-valuemax": edges.at(-1) };
        const area = svg("rect", { x: -9, width: 18, height: this.bottom });
        const parts = [area, svg("line", { y1: this.top, y2: this.bottom }), svg("circle", { cy: this.top + 5 })];
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
        this.inWords(text);
        this.said.classList.toggle("alarm", !n);
        shown(this.picked, bar?.round === room.scores.round);
        if (bar) set(this.picked, { x: this.x(bar.low), width: this.x(bar.high) - this.x(bar.low) });
    }
    bar(event) { // its number, -1 beside them
        const { edges } = this.room.scores, [x] = this.under(event);
        return edges.slice(0, -1).findIndex((edge, i) => x >= this.x(edge) && x <= this.x(edges[i + 1]));
    }
    pointerdown(event) {
        this.dragging = Math.abs(this.under(event)[0] - this.x(this.inside(this.room.theta))) < 9;
        if (!this.dragging) return this.room.pick(this.bar(event));
        event.preventDefault();
        this.svg.setPointerCapture(event.pointerId);
        this.handle.focus();
    }
    pointerup() {
        if (this.dragging) this.room.settle();
        this.dragging = false;
    }
    pointerleave() { this.value.textContent = ""; }
    pointermove(event) {
        const { edges, open, closed } = this.room.scores, i = this.bar(event);
        const theta = scale(this.left, this.right, edges[0], edges.at(-1))(this.under(event)[0]);
        if (this.dragging) return this.room.moveTheta(this.inside(theta));
        const bar = () => ({ low: number(edges[i]), high: number(edges[i + 1]), n: number(open[i] + closed[i]) });
        this.value.textContent = i < 0 ? "" : this.say("bar", bar());
    }
    keydown(event) { // theta by keys
        const by = { ArrowLeft: -1, ArrowRight: 1, PageDown: -10, PageUp: 10 }[event.key];
        if (!by) return;
        quiet(event);
        const { edges } = this.room.scores, step = (edges.at(-1) - edges[0]) / 200;
        this.room.moveTheta(this.inside(this.room.theta + by * step));
        this.room.settle();
    }
}

class Spread extends RoundChart {
    constructor(room) { super(room, room.say("spread"), room.say("spread_hint")); }
    round(event) {
        const { rounds } = this.room.spread, [, down] = this.under(event);
        return rounds[clamp(Math.floor((down - this.top) / this.row), 0, rounds.length - 1)];
    }
    draw() {
        const { rounds, edges, shares, thetas } = this.room.spread;
        if (!rounds?.length) return this.empty("no_samples");
        this.frame([edges[0], edges.at(-1)], [0, 1], { rows: true });
        this.row = (this.bottom - this.top) / rounds.length;
        const most = Math.max(...shares.flat()), every = Math.ceil(1.25 * this.letter / this.row);
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
        const x = this.x(low), width = this.x(high) - x + 0.3, height = this.row > 4 ? this.row - 1 : this.row + 0.2;
        const opacity = (0.08 + 0.92 * Math.sqrt(value)).toFixed(3);
        this.add("rect", { class: "shade", x, y: y + 0.5, width, height, "fill-opacity": opacity });
    }
    mark() {
        if (!this.x) return;
        const { rounds } = this.room.spread, k = rounds.indexOf(this.room.hovering ?? this.room.round);
        shown(this.chosen, k >= 0);
        set(this.chosen, { y: this.top + Math.max(k, 0) * this.row });
        this.value.textContent = k < 0 ? "" : this.say("round", { n: rounds[k] });
        const range = this.say("rounds", { first: rounds[0], last: rounds.at(-1) });
        this.inWords(`${range}, ${this.value.textContent}`);
    }
}

class Losses extends Chart {
    constructor(room) { super(room, room.say("loss"), room.say("loss_hint")); }
    lay() { // the rounds one after the other
        let start = 0;
        [this.all, this.ends] = [[], []];
        for (const [round, steps, losses] of this.room.losses) {
            steps.forEach((step, i) => { if (known(losses[i])) this.all.push([start + step, losses[i], round]); });
            start += steps.at(-1) ?? 0;
            this.ends.push([start, this.room.history.heldout_loss?.[this.room.rounds.indexOf(round)]]);
        }
        this.steps = this.all.map(point => point[0]);
    }
    draw() {
        this.lay();
        if (!this.all.length) return this.empty("tuning", "tuning");
        const xs = this.span, isIn = point => point[0] >= xs[0] && point[0] <= xs[1];
        const heldout = this.ends.filter(point => known(point[1]) && isIn(point));
        const training = this.all.filter(isIn);
        const values = [...training, ...heldout].map(point => point[1]);
        const low = this.part ? Math.min(...values) : Math.min(0, ...values);
        this.frame(xs, [low, 1.02 * Math.max(...values, low + 1e-9)], { integer: true });
        for (const [round] of this.room.losses) {
            const own = training.filter(point => point[2] === round);
            if (own.length) this.path(`curve thin c0 of${round}`, this.pixels(own));
        }
        this.path("curve c2 dash2", this.pixels(heldout));
        this.dots(this.pixels(heldout), "c2");
        this.keys.replaceChildren(this.key(this.say("training"), "c0"));
        if (heldout.length) this.keys.append(this.key(this.say("heldout"), "c2 dash2"));
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
        return this.say("near", { loss: number(loss), step: number(step), round });
    }
    pixels(points) { return points.map(([step, loss]) => [this.x(step), this.y(loss)]); }
    mark() {
        if (!this.x) return;
        const chosen = `of${this.room.hovering ?? this.room.round}`;
        for (const curve of this.svg.querySelectorAll(".thin"))
            curve.classList.toggle("strong", curve.classList.contains(chosen));
    }
    pointerdown(event) {
        [this.from] = this.under(event);
        this.svg.setPointerCapture(event.pointerId);
    }
    pointermove(event) {
        const [here] = this.under(event), { steps } = this;
        const i = clamp(place(steps, this.step(here)), 0, steps.length - 1);
        this.value.textContent = this.near(i);
        shown(this.hovered, true);
        set(this.hovered, at(this.x(steps[i])));
        if (this.from == null) return;
        shown(this.brush, true);
        set(this.brush, { x: Math.min(here, this.from), width: Math.abs(here - this.from) });
    }
    pointerleave() {
        this.value.textContent = "";
        shown(this.hovered, false);
    }
    pointerup(event) { // the stretch that was drawn over is all that is shown
        const ends = [this.from, this.under(event)[0]].sort((a, b) => a - b);
        this.from = null;
        if (ends[1] - ends[0] < 5) return shown(this.brush, false);
        this.part = ends.map(end => this.step(end));
        this.draw();
    }
    dblclick() {
        this.part = null;
        this.draw();
    }
}
