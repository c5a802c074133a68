// A table of rows. NiceGUI's own component builds AG Grid twice, once when the element stands and once more when the
// word comes that it does, with every module of AG Grid, and lets it read the rows through Vue's proxies; here the grid
// is built once, of plain values, with what the console's tables use.
import * as AgGrid from "nicegui-aggrid";
import { convertDynamicProperties } from "../../static/utils/dynamic_properties.js";

AgGrid.ModuleRegistry.registerModules([
  AgGrid.ClientSideRowModelModule,
  AgGrid.ClientSideRowModelApiModule,
  AgGrid.CellStyleModule,
]);
const theme = AgGrid.themeQuartz.withPart(AgGrid.colorSchemeVariable);

export default {
  template: "<div></div>",
  props: { options: Object, htmlColumns: Array, modules: Array },
  mounted() {
    const options = Vue.toRaw(this.options);
    convertDynamicProperties(options, true);
    this.api = AgGrid.createGrid(this.$el, { ...options, theme });
    const followTheme = () => {
      this.$el.dataset.agThemeMode = document.body.classList.contains("body--dark") ? "dark" : "light";
    };
    this.observer = new MutationObserver(followTheme);
    this.observer.observe(document.body, { attributes: true, attributeFilter: ["class"] });
    followTheme();
  },
  beforeUnmount() {
    this.observer.disconnect();
    this.api.destroy();
  },
  methods: {
    run_grid_method(name, ...args) {
      convertDynamicProperties(args, true);
      return this.api[name](...args);
    },
  },
};
