const NOTHING = { scores: {}, table: new DataView(new ArrayBuffer(0)), rows: [] }; // of M_0

class Twin {
    constructor(state) {
        Object.assign(this, { state, listeners: {} });
        for (const round of Object.values(state.rounds)) {
            const letters = Uint8Array.from(atob(round.table), letter => letter.charCodeAt(0));
            round.table = new DataView(letters.buffer);
        }
        this.set("round", Number(Object.keys(state.rounds).at(-1) ?? -1));
    }
    get(name) { return this.state[name]; }
    on(names, work) { for (const name of names.split(" ")) (this.listeners[name] ??= []).push(work); }
    tell(name, ...all) { for (const work of this.listeners[name] ?? []) work(...all); }
    set(name, value) {
        this.state[name] = value;
        if (name !== "round") return;
        const { scores, table, rows } = this.state.rounds[value] ?? NOTHING;
        Object.assign(this.state, { scores, table, theta: null, samples: this.cards(rows) });
        for (const changed of ["scores", "samples"]) this.tell(`change:${changed}`);
    }
    save_changes() {}
    cards(rows) {
        const shown = rows.slice(0, this.state.cards);
        return { title: filled(this.state.words.in_file, { n: shown.length, all: rows.length }), rows: shown };
    }
    send({ low, high, last }) { // the samples of a bar; of the round, where none is named
        const { rows, scores } = this.state.rounds[this.state.round];
        const drawn = score => clamp(score, scores.edges[0], scores.edges.at(-1));
        const isIn = score => score >= low && (score < high || (last && score === high));
        const found = low == null ? rows : rows.filter(row => known(row.score) && isIn(drawn(row.score)));
        this.state.samples = this.cards(found);
        this.tell("change:samples");
    }
}

const [charts, run] = ["charts", "run"].map(name => document.getElementById(`selfloop-${name}`));
render({ model: new Twin(JSON.parse(run.textContent)), el: charts });
