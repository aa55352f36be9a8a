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
const put = (mark, where) => set(mark, { style: where ? "" : "display: none", ...where }); // unseen where it is nowhere
const known = value => value != null && Number.isFinite(value);
const at = x => ({ x1: x, x2: x });
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const filled = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
const UNSEEN = /(?<![\p{Lo}\p{M}\p{So}\p{Sk}])[\u200c\u200d]|[^\P{C}\n\t\u200c\u200d]|[\u2028\u2029]/gu;

function quiet(event) { // it is answered here, and nowhere else
    event.preventDefault();
    event.stopPropagation();
}

export const plain = text => text.replace(UNSEEN, code => "\\u" + code.codePointAt(0).toString(16).padStart(4, "0"));
export const share = value => known(value) ? (100 * value).toFixed(value < 0.1 ? 1 : 0) + " %" : "–";

export function number(value) {
    if (!known(value)) return "–";
    if (Number.isInteger(value) || Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en");
    return String(+value.toPrecision(3));
}

const ends = values => values.reduce(([low, high], x) => [Math.min(low, x), Math.max(high, x)], [Infinity, -Infinity]);
const nearest = (all, far) => all.reduce((a, b) => far(b) < far(a) ? b : a, all[0]);
const scale = (low, high, from, to) => value => from + (value - low) / (high - low || 1) * (to - from);

export const place = (sorted, value) => sorted.findLastIndex(x => x < value) + 1; // of the first that is not below

export function ticks(low, high, n) { // about n round numbers between two ends
    const rough = (high - low) / n || 1, ten = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5].map(k => k * ten).find(k => k >= rough) ?? 10 * ten;
    const [first, last] = [Math.ceil(low / step - 1e-9), Math.floor(high / step + 1e-9)];
    return Array.from({ length: Math.max(last - first + 1, 0) }, (_, i) => +((first + i) * step).toPrecision(12));
}

const EVENTS = ["pointermove", "pointerleave", "pointerdown", "pointerup", "click", "dblclick", "keydown", "dragstart"];

class Chart { // hears each event for which it has a method of that name
    constructor(room, panel) {
        Object.assign(this, { room, panel, x: null });
        this.name = html("b", {}, panel.title);
        this.value = html("span", { class: "value" });
        this.svg = svg("svg", { role: panel.part === "scores" ? "group" : "img", "aria-label": panel.title });
        this.keys = html("div", { class: "keys" });
        this.said = html("output", { class: "said" });
        const caption = html("figcaption", {}, this.name, this.value);
        const parts = [caption, this.svg, this.keys, html("p", { class: "hint" }, panel.hint)];
        this.figure = html("figure", { class: `${panel.part} ${panel.wide ? "wide" : ""}` }, ...parts);
        new ResizeObserver(([entry]) => this.show(entry.contentRect)).observe(this.svg);
        for (const name of EVENTS) this.svg.addEventListener(name, this);
    }
    isSeen() { return (this.due && this.show(this)) || this.x; } // what is due is drawn first
    handleEvent(event) { if (this.isSeen()) this[event.type]?.(event); } // where there is something to be seen
    dragstart(event) { quiet(event); } // of a text that is selected around it
    show({ width, height }) {
        Object.assign(this, { width, height, due: null });
        set(this.svg, { viewBox: `0 0 ${width} ${height}` }).replaceChildren();
        if (width && height) this.draw();
    }
    later() { this.due ??= requestAnimationFrame(() => this.show(this)); } // in the next frame, and once only
    frame(xs, ys) { // axes, with their scales; without ys there are rows
        const { width, height } = this, letter = parseFloat(getComputedStyle(this.svg).fontSize);
        Object.assign(this, { xs, letter, left: 3.4 * letter, right: width - 0.9 * letter });
        Object.assign(this, { top: 0.6 * letter, bottom: height - 1.6 * letter });
        this.x = scale(...xs, this.left, this.right);
        this.y = ys && scale(...ys, this.bottom, this.top);
        for (const t of ys ? ticks(...ys, Math.max(3, Math.floor(height / (2.5 * letter)))) : []) {
            this.add("line", { class: "grid", x1: this.left, x2: this.right, y1: this.y(t), y2: this.y(t) });
            const text = this.panel.percent ? Math.round(100 * t) + " %" : number(t);
            this.label(this.left - 5, this.y(t) + letter / 3, "end", text);
        }
        const along = ticks(...xs, Math.max(2, Math.floor(width / (5 * letter))));
        for (const t of new Set(this.panel.along === "score" ? along : along.map(Math.round))) {
            const atEnd = number(t).length > 3 && this.x(t) > this.right - letter; // where it would be cut
            this.label(atEnd ? width : this.x(t), height - 0.3 * letter, atEnd ? "end" : "middle", number(t));
        }
        this.add("line", { class: "axis", x1: this.left, x2: this.right, y1: this.bottom, y2: this.bottom });
    }
    add(tag, attributes, ...children) { return this.svg.appendChild(svg(tag, attributes, ...children)); }
    label(x, y, anchor, text) { this.add("text", { x, y, "text-anchor": anchor }, text); }
    area() { return this.add("rect", { class: "picked", y: this.top, height: this.bottom - this.top }); }
    upright(kind, x) { return this.add("line", { class: kind, y1: this.top, y2: this.bottom, ...x }); }
    path(kind, points, tag = "polyline") { this.add(tag, { class: kind, points: points.join(" ") }); }
    pixels(points) { return points.map(([x, y]) => [this.x(x), this.y(y)]); }
    dots(kind, points) { // where they do not hide the line
        if (points.length <= 20) for (const [cx, cy] of points) this.add("circle", { class: `dot ${kind}`, cx, cy });
    }
    empty(why, early = "waiting") { // nothing to draw; or not yet, before the first round
        this.label(this.width / 2, this.height / 2, "middle", this.say(this.room.rounds.length > 1 ? why : early));
        this.value.textContent = this.said.textContent = "";
        this.keys.replaceChildren();
        this.x = null;
    }
    under(event) { // where the pointer is in the picture, which may be shown larger
        const { left, top, width } = this.svg.getBoundingClientRect(), times = this.width / width;
        return [times * (event.clientX - left), times * (event.clientY - top)];
    }
    back(pixels) { return scale(this.left, this.right, ...this.xs)(pixels); }
    say(...all) { return this.room.say(...all); }
    key(text, kind) { return html("span", { class: `key ${kind}` }, text); }
    inWords(text) { set(this.svg, { "aria-label": `${this.panel.title}: ${text}` }); }
    holds(event) { return this.svg.hasPointerCapture(event.pointerId); } // from where it was pressed
    remark() { if (this.x && !this.due) this.mark(); } // what is due is drawn of what is known then
}

class Curves extends Chart {
    get isByRound() { return this.panel.along === "round"; }
    get axis() { return this.isByRound ? "hovering" : "here"; } // a round in every chart, a score in this one
    draw() {
        const { columns, bands, along, percent } = this.panel, column = name => this.room.columns[name] ?? [];
        const lines = Object.entries(columns).map(([name, title], k) => { // the colour of its place
            const edges = (bands[name] ?? []).map(column);
            return { k, title, look: `c${k % 7} dash${k % 7}`, edges, values: column(name) };
        });
        this.lines = lines.filter(line => line.values.some(known));
        this.along = column(along);
        if (!this.isByRound) this.name.textContent = this.room.others.title;
        if (!this.lines.length) return this.empty(this.panel.missing);
        const [low, high] = ends(this.lines.flatMap(line => [line.values, ...line.edges].flat()).filter(known));
        const [first, last] = ends(this.along), air = 0.04 * (high - low || 1);
        const ys = percent ? [0, 1.02] : [low >= 0 && low < high / 2 ? 0 : low - air, high + air];
        this.frame([first, last > first ? last : first + 1], ys);
        this.chosen = this.upright("chosen");
        this.hovered = this.upright("hovered");
        for (const line of this.lines) this.line(line);
        this.keys.replaceChildren(...this.lines.map(line => line.key));
        this.mark();
    }
    line(line) {
        const { k, look, values, edges } = line, [lower, upper] = edges.map(edge => this.points(edge));
        this.dots(look, this.points(values));
        if (lower) this.path(`band ${look}`, [...lower, ...upper.reverse()], "polygon");
        this.path(`curve ${look}`, this.points(values));
        line.key = this.key("", look);
        line.key.onpointerenter = () => this.room.point({ lit: k });
    }
    points(values) {
        const pairs = this.along.map((x, i) => [x, values[i]]);
        return this.pixels(pairs.filter(([, value]) => known(value)));
    }
    place(event) { // along the axis
        const [here] = this.under(event);
        return nearest(this.along, x => Math.abs(this.x(x) - here));
    }
    pointermove(event) {
        const x = this.place(event), i = this.along.indexOf(x), [, down] = this.under(event);
        const there = this.lines.filter(line => known(line.values[i]));
        const line = nearest(there, line => Math.abs(this.y(line.values[i]) - down));
        this.room.point({ lit: line?.k, [this.axis]: x });
    }
    pointerleave() { this.room.point({ lit: null, [this.axis]: null }); }
    click(event) { if (this.isByRound) this.room.choose(this.place(event)); }
    mark() { // the chosen round, what is under the pointer, and the line that stands out
        const { round, lit, linked } = this.room, write = this.panel.percent ? share : number;
        const hovered = this.room[this.axis], chosen = this.isByRound ? round : null;
        const where = x => this.along.includes(x) ? at(this.x(x)) : null;
        put(this.chosen, where(chosen));
        put(this.hovered, where(hovered));
        const x = hovered ?? chosen, i = this.along.indexOf(x);
        for (const { key, title, values } of this.lines) key.textContent = `${title} ${i < 0 ? "" : write(values[i])}`;
        for (const part of linked ? this.figure.querySelectorAll("[class*=dash]") : [])
            part.classList.toggle("dim", lit != null && !part.matches(`.c${lit}`));
        const place = this.isByRound ? this.say("round", { n: number(x) }) : number(x);
        this.inWords(`${place}, ${this.lines.map(line => line.key.textContent).join(", ")}`);
    }
}

class Scores extends Chart {
    draw() {
        const s = this.room.scores;
        this.name.textContent = s.title || this.panel.title;
        if (!s.n) return this.empty("no_samples", s.n === 0 ? "no_samples" : "waiting");
        const all = s.open.map((n, i) => n + s.closed[i]);
        this.keys.after(this.said); // the one place that is read aloud
        this.frame([s.edges[0], s.edges.at(-1)], [0, 1.05 * Math.max(...all, 1)]);
        this.bars("closed", all.map(() => 0), s.closed);
        this.bars("rejected", s.closed, all);
        this.kept = this.bars("kept", all, all);
        this.picked = this.area();
        const { theta, right } = this.room.table, y = scale(0, 1, this.bottom, this.top); // right above each theta
        this.path("curve c3", Array.from(theta, (t, j) => [this.x(t), y(right[j])]).filter(([, y]) => known(y)));
        if (s.own) this.upright("used", at(this.x(this.inside(s.theta))));
        this.handle = this.grip();
        this.keys.replaceChildren(...Object.entries(s.keys).map(([kind, text]) => this.key(text, kind)));
        this.mark();
    }
    bars(kind, from, to) {
        const { edges } = this.room.scores;
        return to.map((n, i) => {
            const x = this.x(edges[i]) + 0.5, width = Math.max(1, this.x(edges[i + 1]) - x - 0.5);
            return this.add("rect", { class: kind, x, width, y: this.y(n), height: this.y(from[i]) - this.y(n) });
        });
    }
    keptIn(i) { // how many of a bar
        const { open, kept, by_theta } = this.room.scores;
        if (!by_theta && this.room.hand == null) return kept[i];
        const above = open.slice(i + 1).reduce((a, b) => a + b, 0);
        return clamp(this.room.keeps() - above, 0, open[i]);
    }
    grip() {
        const [low, high] = this.xs;
        const range = { "aria-label": this.say("theta"), "aria-valuemin": low, "aria-valuemax": high };
        const area = svg("rect", { x: -9, width: 18, height: this.bottom });
        const parts = [area, svg("line", { y1: this.top, y2: this.bottom }), svg("circle", { cy: this.top + 5 })];
        return this.add("g", { class: "theta", role: "slider", tabindex: 0, ...range }, ...parts);
    }
    inside(theta) { return clamp(theta, ...this.xs); }
    get grasp() { return this.x(this.inside(this.room.theta)); } // where the handle is
    mark() { // where theta is, and what it would keep
        const { theta, scores, picked } = this.room, text = this.room.wouldKeep();
        this.kept.forEach((bar, i) => set(bar, { height: this.y(0) - this.y(this.keptIn(i)) }));
        set(this.handle, { transform: `translate(${this.grasp},0)`, "aria-valuenow": theta, "aria-valuetext": text });
        this.said.textContent = text;
        this.said.classList.toggle("alarm", !this.room.keeps());
        this.inWords(text);
        const [from, to] = [picked?.low, picked?.high].map(this.x);
        put(this.picked, picked?.round === scores.round ? { x: from, width: to - from } : null);
    }
    bar(event) { // its number, -1 beside them
        const { edges } = this.room.scores, [x] = this.under(event);
        return edges.slice(0, -1).findIndex((edge, i) => x >= this.x(edge) && x <= this.x(edges[i + 1]));
    }
    pointerdown(event) {
        if (Math.abs(this.under(event)[0] - this.grasp) > 9) return this.room.pick(this.bar(event));
        event.preventDefault();
        this.svg.setPointerCapture(event.pointerId);
        this.handle.focus();
    }
    pointerup(event) { if (this.holds(event)) this.room.settle(); }
    pointermove(event) {
        const { edges, open, closed } = this.room.scores, i = this.bar(event);
        if (this.holds(event)) return this.room.moveTheta(this.inside(this.back(this.under(event)[0])));
        const bar = { low: number(edges[i]), high: number(edges[i + 1]), n: number(open[i] + closed[i]) };
        this.value.textContent = i < 0 ? "" : this.say("bar", bar);
    }
    keydown(event) { // theta by keys
        const by = { ArrowLeft: -1, ArrowRight: 1, PageDown: -10, PageUp: 10 }[event.key], [low, high] = this.xs;
        if (!by) return;
        this.room.moveTheta(this.inside(this.room.theta + by * (high - low) / 200));
        this.room.settle();
        quiet(event);
    }
}

class Spread extends Chart {
    draw() {
        const { rounds, edges, shades, thetas } = this.room.spread;
        if (!rounds?.length) return this.empty("no_samples");
        this.frame([edges[0], edges.at(-1)]);
        this.row = (this.bottom - this.top) / rounds.length;
        const every = Math.ceil(1.25 * this.letter / this.row), width = this.x(edges[1]) - this.left + 0.3;
        const height = this.row > 4 ? this.row - 1 : this.row + 0.2;
        rounds.forEach((round, k) => {
            const y = this.top + k * this.row, theta = thetas[k];
            if (k % every === 0) this.label(this.left - 5, y + this.row / 2 + 4, "end", number(round));
            shades[k].forEach((shade, i) => {
                const place = { x: this.x(edges[i]), y: y + 0.5, width, height };
                if (shade) this.add("rect", { class: "shade", "fill-opacity": shade, ...place });
            });
            if (known(theta)) this.add("line", { class: "used", ...at(this.x(theta)), y1: y, y2: y + this.row });
        });
        this.chosen = this.add("rect", { class: "row", x: this.left, width: this.right - this.left, height: this.row });
        this.mark();
    }
    mark() {
        const { rounds } = this.room.spread, k = rounds.indexOf(this.room.hovering ?? this.room.round);
        put(this.chosen, k < 0 ? null : { y: this.top + k * this.row });
        this.value.textContent = k < 0 ? "" : this.say("round", { n: rounds[k] });
        const range = this.say("rounds", { first: rounds[0], last: rounds.at(-1) });
        this.inWords(`${range}, ${this.value.textContent}`);
    }
    round(event) {
        const { rounds } = this.room.spread, [, down] = this.under(event);
        return rounds[clamp(Math.floor((down - this.top) / this.row), 0, rounds.length - 1)];
    }
    pointermove(event) { this.room.point({ hovering: this.round(event) }); }
    pointerleave() { this.room.point({ hovering: null }); }
    click(event) { this.room.choose(this.round(event)); }
}

class Losses extends Chart {
    draw() {
        const points = ([round, steps, losses, start]) => steps.map((step, i) => [start + step, losses[i], round]);
        this.all = this.room.losses.flatMap(points).filter(([, loss]) => known(loss));
        if (!this.all.length) return this.empty("tuning", "tuning");
        const [first, last] = this.part ?? [0, this.all.at(-1)[0]];
        const isIn = ([step, loss]) => known(loss) && step >= first && step <= last;
        const ended = this.room.losses.map(([, steps, , start, heldout]) => [start + (steps.at(-1) ?? 0), heldout]);
        const training = this.all.filter(isIn), heldout = ended.filter(isIn);
        const [least, most] = ends([...training, ...heldout].map(([, loss]) => loss));
        const low = this.part ? least : Math.min(0, least);
        this.frame([first, last], [low, 1.02 * Math.max(most, low + 1e-9)]);
        for (const [round] of this.room.losses)
            this.path(`curve thin c0 of${round}`, this.pixels(training.filter(point => point[2] === round)));
        this.path("curve c2 dash2", this.pixels(heldout));
        this.dots("c2", this.pixels(heldout));
        this.keys.replaceChildren(this.key(this.say("training"), "c0"));
        if (heldout.length) this.keys.append(this.key(this.say("heldout"), "c2 dash2"));
        this.hovered = put(this.upright("hovered"));
        this.brush = put(this.area());
        this.inWords(this.near(this.all.at(-1)));
        this.mark();
    }
    near([step, loss, round]) { return this.say("near", { loss: number(loss), step: number(step), round }); }
    mark() {
        const chosen = `.of${this.room.hovering ?? this.room.round}`;
        for (const curve of this.svg.querySelectorAll(".thin")) curve.classList.toggle("strong", curve.matches(chosen));
    }
    pointerdown(event) {
        [this.from] = this.under(event);
        this.svg.setPointerCapture(event.pointerId);
    }
    pointermove(event) {
        const [here] = this.under(event), step = this.back(here);
        const point = this.all.find(point => point[0] >= step) ?? this.all.at(-1);
        this.value.textContent = this.near(point);
        put(this.hovered, at(this.x(point[0])));
        if (this.holds(event)) put(this.brush, { x: Math.min(here, this.from), width: Math.abs(here - this.from) });
    }
    pointerup(event) { // the stretch that was drawn over is all that is shown
        if (!this.holds(event)) return;
        const [from, to] = [this.from, this.under(event)[0]].sort((a, b) => a - b);
        if (to - from < 5) return put(this.brush, null);
        this.zoom([this.back(from), this.back(to)]);
    }
    dblclick() { this.zoom(null); }
    zoom(part) {
        this.part = part;
        this.show(this);
    }
}
