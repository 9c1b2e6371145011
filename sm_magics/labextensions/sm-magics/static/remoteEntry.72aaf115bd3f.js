// For the cells of sm_magics in JupyterLab 4 and Notebook 7: their YAML is coloured, commented and indented as YAML,
// and panels are shown while their kernel has them, with names for the handles of their sliders;
// when it has ended, they say so.
// Written by hand as the container of webpack's module federation that both load: there is nothing to build.
(() => {
  "use strict";

  const BODY_IS_YAML = /^\s*%%sm_(?:endpoint|model|compare)(?!\w)/; // %%sm_invoke sends its body as it is
  const FIRST = 200; // characters: where the magic's name stands
  const INDENT = "  ";

  const WORD = {
    block: String.raw`(?:[^\s:#]|:(?=\S)|(?<=\S)#)+`,
    flow: String.raw`(?:[^\s:#,[\]{}]|:(?=[^\s,[\]{}])|(?<=\S)#)+`,
  };
  const PLAIN = Object.fromEntries(
    Object.entries(WORD).map(([kind, word]) => [kind, new RegExp(`^${word}(?:[ \\t]+${word})*`)]),
  );
  const KEY_ENDS = /^[ \t]*:(?=[\s,[\]{}]|$)/;
  const QUOTED = /^(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*')/;
  const TO_QUOTE = { '"': /^(?:[^"\\]|\\.)*"/, "'": /^(?:[^']|'')*'/ };
  const VARIABLE = /^\$(?:\{[^}]*\}|[A-Za-z_]\w*)/;
  const NUMBER = /^[-+]?(?:\d[\d_]*)?\.?\d+(?:e[-+]?\d+)?(?:%|[a-z]{1,3})?$/i; // 3, 0.5, 1e-3; 20%, 30s, 500ms
  const ATOM = /^(?:true|false|null|~)$/i;
  const OPTION = /^--?[A-Za-z][\w-]*/;

  // The names of tokens are those of CodeMirror's StreamLanguage, which the themes of the front ends colour.

  function magicLine(stream, state) {
    if (stream.match(/^%%\w+/)) {
      state.at = "line";
      return "meta";
    }
    if (stream.match(VARIABLE)) return "variable-2";
    if (stream.match(OPTION)) return "attribute";
    stream.match(/^\S+/);
    return null;
  }

  function quotedOn(stream, state) {
    if (stream.match(TO_QUOTE[state.quote])) state.quote = null;
    else stream.skipToEnd();
    return "string";
  }

  function scalar(stream, state) {
    const isKey = () => stream.match(KEY_ENDS, false);
    if (stream.match(QUOTED)) return isKey() ? "property" : "string";
    if (stream.peek() === '"' || stream.peek() === "'") {
      state.quote = stream.next();
      return quotedOn(stream, state);
    }
    if (stream.match(VARIABLE)) return "variable-2";
    const found = stream.match(PLAIN[state.depth ? "flow" : "block"]);
    if (!found) {
      stream.next();
      return "punctuation";
    }
    if (isKey()) return "property";
    return NUMBER.test(found[0]) ? "number" : ATOM.test(found[0]) ? "atom" : null;
  }

  function bodyLine(stream, state) {
    if (stream.peek() === "#" && (stream.sol() || /\s/.test(stream.string[stream.pos - 1]))) {
      stream.skipToEnd();
      return "comment";
    }
    state.opens = false;
    if (stream.match(/^[[{]/)) {
      state.depth += 1;
      return "bracket";
    }
    if (state.depth && stream.match(/^[\]}]/)) {
      state.depth -= 1;
      return "bracket";
    }
    const dash = stream.match(/^-(?:[ \t]+|$)/);
    if (dash) {
      state.item = state.indent;
      state.indent += dash[0].length; // what it begins stands after it
      return "punctuation";
    }
    if (stream.match(/^[:,]/)) {
      state.item = null; // what follows belongs to the key
      state.opens = stream.match(/^[ \t]*(?:#.*)?$/, false) && stream.string[stream.pos - 1] === ":";
      return "punctuation";
    }
    if (stream.match(/^[|>][-+\d]*(?=\s*(?:#.*)?$)/)) {
      state.text = state.item ?? state.indent;
      state.opens = true;
      return "punctuation";
    }
    return scalar(stream, state);
  }

  const parser = {
    name: "sm-magics-yaml",
    // `at` is the part of the cell; `text` the indentation of the key or dash whose block of text is read, null outside
    // of one; `item` that of the dash before, null after a key; `opens` whether the next line goes one deeper.
    startState: () => ({ at: "start", quote: null, text: null, item: null, depth: 0, indent: 0, opens: false }),
    token(stream, state) {
      if (stream.sol() && /\S/.test(stream.string)) {
        if (state.at === "line") state.at = "body";
        if (state.at === "body" && state.text !== null && stream.indentation() <= state.text) state.text = null;
        if (state.text === null && !state.quote) {
          state.indent = stream.indentation();
          state.item = null;
        }
      }
      if (stream.eatSpace()) return null;
      if (state.at !== "body") return magicLine(stream, state);
      if (state.text !== null) {
        state.opens = false; // each line of it stands as the one before
        stream.skipToEnd();
        return "string";
      }
      return state.quote ? quotedOn(stream, state) : bodyLine(stream, state);
    },
    indent(state, _after, context) {
      if (state.at !== "body") return 0;
      return state.opens && !state.depth ? (state.text ?? state.indent) + context.unit : null; // null: as before
    },
    languageData: { commentTokens: { line: "#" } },
  };

  function highlighting(codemirror, { Compartment, EditorState, Prec }, { StreamLanguage, indentUnit }) {
    const yaml = Prec.highest([StreamLanguage.define(parser), indentUnit.of(INDENT)]);
    const start = (doc) => BODY_IS_YAML.test(doc.sliceString(0, FIRST));

    function ofCell({ model }) {
      if (model.type !== "code") return null;
      const language = new Compartment();
      const follow = EditorState.transactionExtender.of((change) => {
        if (!change.docChanged) return null;
        const is = start(change.newDoc);
        return is === start(change.startState.doc) ? null : { effects: language.reconfigure(is ? yaml : []) };
      });
      const is = BODY_IS_YAML.test(model.sharedModel.getSource().slice(0, FIRST));
      return codemirror.EditorExtensionRegistry.createImmutableExtension([language.of(is ? yaml : []), follow]);
    }

    return (_app, registry) => registry.addExtension({ name: "sm-magics:yaml", factory: ofCell });
  }

  const LIVE = "application/vnd.sm-magics.live+json"; // marks the outputs that are panels, and cards of waiting cells
  const VIEW = "application/vnd.jupyter.widget-view+json";
  const BEFORE_WIDGETS = -20; // ipywidgets has rank -10
  const ENDS = new Set(["restarting", "autorestarting", "terminating", "dead"]);

  async function isLive({ sessionContext }, id) {
    await sessionContext.ready;
    const kernel = sessionContext.session?.kernel;
    if (!kernel) return false;
    if (kernel.hasComm(id)) return true; // seen on this page: a kernel that is busy answers no question
    const ended = () => null;
    const answer = await kernel.requestCommInfo({ target_name: "jupyter.widget" }).catch(ended);
    return id in (answer?.content.comms ?? {});
  }

  function nameHandles(panel) {
    for (const handle of panel.querySelectorAll(".sm-panel .noUi-handle:not([aria-label])")) {
      const slider = handle.closest(".widget-slider");
      const label = slider?.querySelector(".widget-label");
      const name = slider?.title || label?.title || label?.textContent;
      if (name) handle.setAttribute("aria-label", name);
    }
  }

  // A panel of a kernel that has ended stays empty, without an error: its record stands above it.
  function live({ Panel }) {
    class Live extends Panel {
      constructor(notebook) {
        super();
        this.notebook = notebook;
        this.shown = null; // the id of the panel that is
        this.asked = 0; // how often the kernel was
        this.kernel = null; // the id of the one that has what is shown
        this.changes = new MutationObserver(() => nameHandles(this.node));
        const { sessionChanged, kernelChanged, statusChanged, connectionStatusChanged } = notebook.sessionContext;
        for (const each of [kernelChanged, connectionStatusChanged]) each.connect(this.show, this); // until disposed
        for (const each of [sessionChanged, kernelChanged, statusChanged]) each.connect(this.sayIfEnded, this);
      }

      sayIfEnded() {
        const kernel = this.notebook.sessionContext.session?.kernel;
        if (this.kernel && (kernel?.id !== this.kernel || ENDS.has(kernel.status))) this.addClass("sm-ended");
      }

      async renderModel({ data, metadata }) {
        this.model = { data, metadata };
        await this.show();
      }

      async show() {
        const { rendermime } = this.notebook.content;
        const id = this.model?.data[VIEW]?.model_id;
        if (!id || id === this.shown || !rendermime.getFactory(VIEW)) return;
        const asked = ++this.asked;
        const there = await isLive(this.notebook, id);
        if (!there || this.isDisposed || asked !== this.asked) return; // a kernel that comes later is asked again
        this.shown = id;
        this.changes.observe(this.node, { childList: true, subtree: true });
        const view = rendermime.createRenderer(VIEW);
        this.addWidget(view);
        this.kernel = this.notebook.sessionContext.session?.kernel?.id;
        await view.renderModel(this.model);
      }

      dispose() {
        this.changes.disconnect();
        super.dispose();
      }
    }

    const createNew = (notebook) => {
      const createRenderer = () => new Live(notebook);
      notebook.content.rendermime.addFactory({ safe: false, mimeTypes: [LIVE], createRenderer }, BEFORE_WIDGETS);
    };
    return ({ docRegistry }) => docRegistry.addWidgetExtension("Notebook", { createNew });
  }

  let shared = null;

  async function take(name) {
    // One that runs already, else the newest, as webpack chooses: there must be only one of each on a page.
    const versions = Object.entries(shared[name]).sort(([a], [b]) => b.localeCompare(a, "en", { numeric: true }));
    const [, chosen] = versions.find(([, each]) => each.loaded) ?? versions[0];
    return (await chosen.get())();
  }

  async function extension() {
    const names = ["@jupyterlab/codemirror", "@codemirror/state", "@codemirror/language", "@lumino/widgets"];
    const [codemirror, state, language, widgets] = await Promise.all(names.map(take));
    const plugins = [
      {
        id: "sm-magics:highlighting",
        description: "Colours the YAML in the cells of sm_magics.",
        autoStart: true,
        requires: [codemirror.IEditorExtensionRegistry],
        activate: highlighting(codemirror, state, language),
      },
      {
        id: "sm-magics:live",
        description: "Shows the panels of sm_magics while their kernel has them.",
        autoStart: true,
        activate: live(widgets),
      },
    ];
    return { __esModule: true, default: plugins };
  }

  window._JUPYTERLAB = window._JUPYTERLAB ?? {};
  window._JUPYTERLAB["sm-magics"] = {
    init(scope) {
      shared = scope;
    },
    async get(module) {
      if (module !== "./extension") throw new Error(`sm-magics has no module ${module}`);
      const exports = await extension();
      return () => exports;
    },
  };
})();
