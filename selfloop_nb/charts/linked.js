const folded = (kind, title, ...inside) => html("details", { class: kind }, html("summary", {}, title), ...inside);

function card(row, say) {
    const isChinese = /[\u3040-\u9fff]/.test(row.completion);
    const more = name => row.more[name] ? [html("i", {}, ` … ${say("more", { n: number(row.more[name]) })}`)] : [];
    const written = name => [plain(row[name]), ...more(name)];
    const text = html("pre", { lang: isChinese ? "zh" : null });
    text.append(html("span", { class: "prompt" }, ...written("prompt")));
    if (row.thought) {
        const title = say("thought", { n: number(row.thought.length + (row.more.thought ?? 0)) });
        text.append(folded("thought", title, html("pre", {}, ...written("thought"))));
    }
    text.append(html("b", {}, plain(row.completion)), ...more("completion"));
    const why = `${known(row.score) ? ` ${number(row.score)}` : ""}${row.reason ? ` · ${plain(row.reason)}` : ""}`;
    const verdict = html("small", {}, html("b", {}, say(row.state)), why);
    const made = html("div", { class: `card ${row.state}`, role: "listitem", tabindex: 0 }, text, verdict);
    for (const other of row.beside ?? []) made.append(html("div", { class: "beside" }, card(other, say)));
    if (row.sound) made.prepend(html("audio", { controls: "", preload: "none", src: row.sound }));
    if (row.unheard) made.prepend(html("i", {}, plain(row.unheard)));
    made.addEventListener("click", () => made.classList.add("open"));
    return made;
}

const NUMBERS = ["history", "others", "spread", "scores", "losses", "round", "words", "linked"];
const EXPLAINED = "selfloop-explained";

function remember(help) { // a first visit is shown what the charts mean, until that is folded away
    try {
        help.open = localStorage.getItem(EXPLAINED) !== "false";
        help.addEventListener("toggle", () => localStorage.setItem(EXPLAINED, help.open));
    } catch { /* a page without a memory */ }
}

class Room {
    constructor(model, el) {
        Object.assign(this, { model, hovering: null, picked: null, moved: false, lit: null, due: new Set() });
        this.read();
        set(el, { style: `font-size: ${12 * model.get("scale")}px` }).classList.add("selfloop-frame");
        el.append(this.build());
        this.lay();
        this.listen();
        this.show(model.get("samples"));
    }
    say(name, values = {}) { return filled(this.words[name] ?? name, values); }
    has(part) { return this.model.get("parts").includes(part); }
    lay() { // the charts that are asked for, as they stand
        const make = (part, Kind) => this.has(part) ? [new Kind(this)] : [];
        const curves = this.has("curves") ? this.model.get("panels").map(panel => new Curves(this, panel)) : [];
        const [scores, losses] = [make("scores", Scores), make("loss", Losses)];
        [[this.scoresChart], [this.lossChart]] = [scores, losses];
        this.charts = [...scores, ...make("spread", Spread), ...curves.slice(0, 4), ...losses, ...curves.slice(4)];
        this.place.replaceChildren(...this.charts.map(chart => chart.figure));
        this.root.classList.toggle("one", this.charts.length === 1);
    }
    build() {
        this.place = html("div", { class: "charts" });
        this.note = html("div", { class: "note", "aria-live": "polite" });
        this.cards = html("div", { class: "cards", role: "list", "aria-label": this.say("samples") });
        this.data = folded("data", this.say("table"), html("div"));
        this.data.addEventListener("toggle", () => this.tabulate());
        const help = folded("help", this.say("explain"));
        remember(help);
        const beside = this.has("samples") ? [html("aside", {}, this.note, this.cards)] : [];
        const rest = [this.place, ...beside, html("footer", {}, help, this.data)];
        const about = { role: "group", "aria-label": this.say("room"), style: `--tall: ${this.model.get("tall")}em` };
        this.root = html("div", { class: "selfloop-room", tabindex: 0, ...about }, ...rest);
        this.root.classList.toggle("low", this.model.get("tall") < 10); // more to read than to see
        set(this.root, { "data-lm-suppress-shortcuts": "true", "data-stills": this.model.get("stills") });
        this.root.addEventListener("keydown", event => this.key(event));
        return this.root;
    }
    listen() {
        const on = (names, work) => this.model.on(names.split(" ").map(name => `change:${name}`).join(" "), work);
        on("history others spread scores losses table round", () => {
            this.read();
            this.later(...this.charts);
        });
        on("panels", () => this.lay());
        on("samples", () => this.show(this.model.get("samples")));
        on("theta", () => this.follow(this.model.get("theta")));
        this.model.on("msg:custom", message => this.hear(message));
    }
    read() {
        for (const name of NUMBERS) this[name] = this.model.get(name);
        this.rounds = this.history.round ?? [];
        const { buffer, byteOffset, byteLength } = this.model.get("table");
        const all = new Float64Array(buffer.slice(byteOffset, byteOffset + byteLength)), n = all.length / 6;
        const names = ["theta", "kept", "right", "known", "fresh", "bigrams"];
        this.table = Object.fromEntries(names.map((name, k) => [name, all.subarray(k * n, (k + 1) * n)]));
        if (this.seen === this.scores.key) return;
        const moved = this.model.get("theta") ?? null; // by a hand, before this page was loaded
        Object.assign(this, { seen: this.scores.key, theta: moved ?? this.scores.theta ?? 0, moved: moved != null });
    }
    later(...charts) { // drawn anew in the next frame, and once only
        if (!this.due.size) requestAnimationFrame(() => this.draw());
        for (const chart of charts) this.due.add(chart);
    }
    draw() {
        const due = [...this.due];
        this.due.clear();
        for (const chart of due) if (chart.width) chart.draw();
        this.tabulate();
    }
    mark() { for (const chart of this.charts) chart.mark(); }
    show({ title = "", rows = [] }) {
        this.note.textContent = title;
        this.cards.replaceChildren(...rows.map(row => card(row, (...all) => this.say(...all))));
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

Object.assign(Room.prototype, {
    keeps(theta) { return this.table.kept[place(this.table.theta, theta)] ?? 0; }, // how many
    wouldKeep() {
        const { table, scores, theta } = this, j = place(table.theta, theta), n = this.keeps(theta);
        const part = (a, b) => b[j] ? a[j] / b[j] : NaN;
        const verb = scores.own && theta === scores.theta ? "keeps" : "would_keep";
        const counts = { theta: number(theta), n: number(n), all: number(scores.n), share: share(n / scores.n) };
        const parts = [this.say(verb, counts)];
        if (table.known[0]) parts.push(this.say("right", { share: share(part(table.right, table.known)) }));
        parts.push(this.say("distinct", { value: number(part(table.fresh, table.bigrams)) }));
        return { n, text: parts.join(" · ") };
    },
    moveTheta(theta) {
        const { table } = this, j = place(table.theta, theta);
        this.theta = !this.scores.every && j < table.theta.length ? table.theta[j] : theta;
        this.moved = true;
        this.scoresChart.mark();
    },
    follow(theta) { // the kernel has moved it
        if (theta != null && theta !== this.theta) this.moveTheta(theta);
    },
    settle() { this.tell("theta", this.theta); },
});

Object.assign(Room.prototype, {
    tell(name, value) {
        this.model.set(name, value);
        this.model.save_changes();
    },
    point(what, value) {
        if (this[what] === value) return;
        this[what] = value;
        this.mark();
    },
    hover(round) { this.point("hovering", round); },
    light(name) { if (this.linked) this.point("lit", name); },
    choose(round) {
        if (round == null || round === this.round) return;
        Object.assign(this, { round, picked: null });
        this.mark();
        this.tell("round", round);
    },
    pick(i) { // a bar
        const { edges, round } = this.scores;
        if (i >= 0) this.ask({ round, low: edges[i], high: edges[i + 1], last: i === edges.length - 2 });
    },
    ask(bar) { // for its samples; null: for those of the round
        this.picked = bar;
        this.mark();
        this.model.send({ ask: "samples", key: this.scores.key, ...bar });
    },
    key(event) {
        const i = this.rounds.indexOf(this.round), last = this.rounds.length - 1;
        const to = { ArrowLeft: i - 1, ArrowRight: i + 1, Home: 0, End: last }[event.key];
        if (event.key === "Escape" && this.picked) this.ask(null);
        else if (to != null) this.choose(this.rounds[clamp(to, 0, last)]);
        else return;
        quiet(event);
    },
    hear({ round, steps, losses }) { // of a loss under way: what the list holds grows here as it does in the kernel
        if (this.losses.at(-1)?.[0] !== round) this.losses.push([round, [], []]);
        const [, before, held] = this.losses.at(-1);
        if (before.at(-1) >= steps[0]) return; // another view of the same list was quicker
        before.push(...steps);
        held.push(...losses);
        if (this.lossChart) this.later(this.lossChart);
    },
});

function grow(el, scale) { // buttons and fields around the charts, with the letters of the charts
    const name = (part, value) => el.parentElement?.style.setProperty(`--jp-widgets-${part}`, `${value * scale}px`);
    new ResizeObserver(() => { name("font-size", 13); name("inline-height", 28); }).observe(el);
}

function render({ model, el }) {
    el.room = new Room(model, el);
    grow(el, model.get("scale"));
    return () => el.room.root.remove();
}

export default { render };
