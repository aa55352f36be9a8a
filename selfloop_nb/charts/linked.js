const folded = (kind, title, ...inside) => html("details", { class: kind }, html("summary", {}, title), ...inside);

function card(row, say) {
    const more = name => row.more[name] ? html("i", {}, ` … ${say("more", { n: number(row.more[name]) })}`) : "";
    const written = (tag, name) => html(tag, { class: name }, plain(row[name]), more(name));
    const length = row.thought.length + (row.more.thought ?? 0);
    const thought = length ? folded("thought", say("thought", { n: number(length) }), written("pre", "thought")) : "";
    const text = [written("span", "prompt"), thought, written("b", "completion")];
    const score = known(row.score) ? ` Q ${number(row.score)}` : "", why = row.reason ? ` · ${plain(row.reason)}` : "";
    const verdict = html("small", {}, html("b", {}, say(row.state)), score, why, row.place ?? "");
    const sound = row.sound ? html("audio", { controls: "", preload: "none", src: row.sound }) : "";
    const unheard = row.unheard ? html("i", {}, plain(row.unheard)) : "";
    const others = (row.beside ?? []).map(other => html("div", { class: "beside" }, card(other, say)));
    const all = [unheard, sound, html("pre", { lang: row.lang, dir: "auto" }, ...text), verdict, ...others];
    return html("div", { class: `card ${row.state}`, role: "listitem", tabindex: 0 }, ...all);
}

const NUMBERS = ["history", "others", "spread", "scores", "losses", "round", "words", "linked"];
const KINDS = { scores: Scores, spread: Spread, curves: Curves, loss: Losses };

function remembered(help) { // a first visit is shown what the charts mean, until that is folded away
    try {
        help.open = localStorage["selfloop-explained"] !== "false";
        help.ontoggle = () => localStorage.setItem("selfloop-explained", help.open);
    } catch { /* a page without a memory */ }
    return help;
}

class Room {
    constructor(model, el) {
        Object.assign(this, { model, charts: [], hovering: null, here: null, lit: null, picked: null });
        this.read();
        set(el, { style: `font-size: ${12 * model.get("scale")}px` }).classList.add("selfloop-frame");
        el.append(this.build());
        this.lay();
        this.show();
        model.on([...NUMBERS, "table"].map(name => `change:${name}`).join(" "), () => this.read());
        model.on("change:panels", () => this.lay());
        model.on("change:samples", () => this.show());
        model.on("change:theta", () => this.follow(model.get("theta")));
        model.on("msg:custom", message => this.hear(message));
    }
    get theta() { return this.hand ?? this.scores.theta ?? 0; }
    say(name, values = {}) { return filled(this.words[name] ?? name, values); }
    build() {
        const tall = this.model.get("tall"), low = tall < 10 ? "low" : ""; // more to read than to see
        this.place = html("div", { class: "charts" });
        this.note = html("div", { class: "note", "aria-live": "polite" });
        this.cards = html("div", { class: "cards", role: "list", "aria-label": this.say("samples") });
        this.data = folded("data", this.say("table"), html("div"));
        this.data.ontoggle = () => this.tabulate();
        const beside = this.has("samples") ? [html("aside", {}, this.note, this.cards)] : [];
        const footer = html("footer", {}, remembered(folded("help", this.say("explain"))), this.data);
        const about = { class: `selfloop-room ${low}`, role: "group", tabindex: 0, "aria-label": this.say("room") };
        const page = { "data-stills": this.model.get("stills"), "data-lm-suppress-shortcuts": true };
        this.root = html("div", { style: `--tall: ${tall}em`, ...about, ...page }, this.place, ...beside, footer);
        this.root.onkeydown = event => this.key(event);
        return this.root;
    }
    has(part) { return this.model.get("parts").includes(part); }
    lay() { // the charts that are asked for, as they stand
        const panels = this.model.get("panels").filter(panel => this.has(panel.part));
        this.charts = panels.map(panel => new (KINDS[panel.part])(this, panel));
        for (const chart of this.charts) this[`${chart.panel.part}Chart`] = chart;
        this.place.replaceChildren(...this.charts.map(chart => chart.figure));
    }
    read() {
        for (const name of NUMBERS) this[name] = this.model.get(name);
        this.columns = { ...this.history, ...this.others };
        this.rounds = this.history.round ?? [];
        const { buffer, byteOffset, byteLength } = this.model.get("table");
        const all = new Float64Array(buffer.slice(byteOffset, byteOffset + byteLength)), n = all.length / 4;
        const [theta, kept, right, distinct] = [0, 1, 2, 3].map(k => all.subarray(k * n, (k + 1) * n));
        this.table = { theta, kept, right, distinct };
        if (this.seen !== this.scores.key) this.hand = this.model.get("theta"); // moved before this page was loaded
        this.seen = this.scores.key;
        for (const chart of this.charts) chart.later();
        this.tabulate();
    }
    show() {
        const { title = "", rows = [] } = this.model.get("samples");
        this.note.textContent = title;
        this.cards.replaceChildren(...rows.map(row => card(row, (...all) => this.say(...all))));
        this.cards.scrollTop = 0;
    }
    tabulate() { // the same numbers to read aloud, and to copy
        if (!this.data?.open) return;
        const columns = Object.entries(this.history);
        const row = (tag, texts) => html("tr", {}, ...texts.map(text => html(tag, {}, text)));
        const rows = this.rounds.map((_, i) => row("td", columns.map(([, column]) => number(column[i]))));
        this.data.lastChild.replaceChildren(html("table", {}, row("th", columns.map(([name]) => name)), ...rows));
    }
}

Object.assign(Room.prototype, {
    keeps() { return this.table.kept[place(this.table.theta, this.theta)] ?? 0; }, // how many
    wouldKeep() {
        const { table, scores, theta } = this, j = place(table.theta, theta), n = this.keeps();
        const verb = scores.own && theta === scores.theta ? "keeps" : "would_keep";
        const counts = { theta: number(theta), n: number(n), all: number(scores.n), share: share(n / scores.n) };
        const parts = [this.say(verb, counts)];
        if (known(table.right[0])) parts.push(this.say("right", { share: share(table.right[j]) }));
        return [...parts, this.say("distinct", { value: share(table.distinct[j]) })].join(" · ");
    },
    moveTheta(theta) {
        const { table, scores } = this;
        this.hand = scores.every ? theta : table.theta[place(table.theta, theta)] ?? theta;
        this.scoresChart.remark();
    },
    follow(theta) { if (theta != null && theta !== this.theta) this.moveTheta(theta); }, // the kernel has moved it
    settle() { this.tell("theta", this.theta); },
});

Object.assign(Room.prototype, {
    tell(name, value) {
        this.model.set(name, value);
        this.model.save_changes();
    },
    point(values) { // at a round, a line, a bar
        if (Object.entries(values).every(([name, value]) => this[name] === value)) return;
        Object.assign(this, values);
        for (const chart of this.charts) chart.remark();
    },
    choose(round) {
        if (round == null || round === this.round) return;
        this.point({ round, picked: null });
        this.tell("round", round);
    },
    pick(i) { // a bar
        const { edges, round } = this.scores;
        if (i >= 0) this.ask({ round, low: edges[i], high: edges[i + 1], last: i === edges.length - 2 });
    },
    ask(picked) { // for the samples of a bar; null: for those of the round
        this.point({ picked });
        this.model.send({ ask: "samples", key: this.scores.key, ...picked });
    },
    key(event) {
        const i = this.rounds.indexOf(this.round), last = this.rounds.length - 1;
        const to = { ArrowLeft: i - 1, ArrowRight: i + 1, Home: 0, End: last }[event.key];
        if (event.key === "Escape" && this.picked) this.ask(null);
        else if (to != null) this.choose(this.rounds[clamp(to, 0, last)]);
        else return;
        quiet(event);
    },
    hear({ round, steps, losses, start }) { // what the list holds grows here as it does in the kernel
        if (this.losses.at(-1)?.[0] !== round) this.losses.push([round, [], [], start]);
        const [, before, held] = this.losses.at(-1);
        if (before.at(-1) >= steps[0]) return; // another view of the same list was quicker
        before.push(...steps);
        held.push(...losses);
        this.lossChart?.later();
    },
});

function render({ model, el }) { el.room = new Room(model, el); }

export default { render };
