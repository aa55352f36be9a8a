// Shows what a kernel puts out, its widgets by the bundle that VS Code's Jupyter extension loads in a notebook.
import { KernelManager } from "@jupyterlab/services";
import { activate } from "./ipywidgets.js"; // VS Code's bundle, as it is

const WIDGET = "application/vnd.jupyter.widget-view+json";
const places = new Map(); // of outputs that can be changed, by display_id
window.missing = []; // widgets that the bundle does not have: VS Code would look for them on the internet
window.failed = []; // what went wrong in the kernel or here

const loader = {
    widgetsRegisteredInRequireJs: new Set(),
    loadWidgetScript: async (module, version) => {
        if (module !== "anywidget") return window.missing.push(`${module} ${version}`);
        requirejs.config({ paths: { anywidget: "/static/anywidget" } }); // the extension takes it from the environment
        loader.widgetsRegisteredInRequireJs.add(module);
    },
    errorHandler: (name, module, version, error) => { window.missing.push(`${name} of ${module} ${version}: ${error}`); },
    successHandler: () => {},
};

// The model, then its view, then the place: the order in which the extension does it.
async function renderWidget(manager, data, place) {
    place.className = "cell-output-ipywidget-background";
    const model = await manager.get_model(data.model_id);
    await manager.display_view(data, await manager.create_view(model, { el: place }), { node: place });
}

// Widgets by the bundle; pictures, tables and text simply.
function render(manager, data, place) {
    if (data[WIDGET]) renderWidget(manager, data[WIDGET], place).catch(error => window.failed.push(String(error)));
    else if (data["image/png"]) place.innerHTML = `<img src="data:image/png;base64,${data["image/png"]}">`;
    else if (data["text/html"]) place.innerHTML = data["text/html"];
    else place.textContent = data["text/plain"];
}

// One message of the kernel.
function show(manager, { header, content }) {
    const name = content.transient?.display_id;
    if (header.msg_type === "error") window.failed.push(`${content.ename}: ${content.evalue}`);
    if (header.msg_type === "update_display_data" && places.has(name)) render(manager, content.data, places.get(name));
    if (header.msg_type !== "display_data" && header.msg_type !== "execute_result") return;
    const place = document.body.appendChild(document.createElement("div"));
    if (name) places.set(name, place);
    render(manager, content.data, place);
}

const kernel = await new KernelManager().startNew({ name: "python3" });
activate();
window.vscIPyWidgets8.load();
const manager = new window.vscIPyWidgets.WidgetManager(kernel, document.body, loader, () => {});
kernel.iopubMessage.connect((_, message) => show(manager, message));
window.run = async code => { await kernel.requestExecute({ code }).done; }; // a cell
