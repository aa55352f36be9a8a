function render({ model, el }) {
    el.classList.add("selfloop-keys");
    el.dataset.stills = "2"; // the plain outputs below stay out of sight
    const say = () => el.textContent = model.get("words")[model.get("said")] ?? "";
    model.on("change:words change:said", say);
    say();
    const press = event => {
        const key = event.key.toLowerCase(), isTyped = event.target.matches("input, select, textarea");
        if (isTyped || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
        if (!model.get("heard").includes(key)) return;
        event.preventDefault();
        event.stopPropagation();
        model.send({ key, place: model.get("place") });
    };
    const watch = new ResizeObserver(() => { // once it stands in the page
        const view = el.closest(".selfloop-rater");
        if (!view || view.tabIndex === 0) return;
        Object.assign(view, { tabIndex: 0, onkeydown: press });
        view.dataset.lmSuppressShortcuts = "true";
    });
    watch.observe(el);
    return () => watch.disconnect();
}

export default { render };
