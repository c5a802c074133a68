// A chart that may be taken away at any moment. NiceGUI's own component waits before it draws and takes for granted,
// when it is removed, that it has drawn; here the drawing stands as soon as the element does.
import { echarts } from "nicegui-echart";
import { convertDynamicProperties } from "../../static/utils/dynamic_properties.js";

export default {
  template: "<div></div>",
  props: { options: Object, enable3d: Boolean, renderer: String, theme: String },
  mounted() {
    this.chart = echarts.init(this.$el, null, { renderer: this.renderer });
    this.chart.on("click", (event) => window.rf.follow(event));
    this.observer = new ResizeObserver(() => this.fit());
    this.observer.observe(this.$el);
    this.update_chart();
  },
  beforeUnmount() {
    this.observer.disconnect();
    this.chart.dispose();
  },
  methods: {
    fit() {
      const { offsetWidth: width, offsetHeight: height } = this.$el;
      if (width !== this.chart.getWidth() || height !== this.chart.getHeight()) this.chart.resize();
    },
    update_chart() {
      // Figures that came before the element stood are drawn with it; the word to draw them comes afterwards.
      if (this.options === this.drawnOptions) return;
      this.drawnOptions = this.options;
      convertDynamicProperties(this.options, true);
      const drawn = this.chart.getOption()?.series?.length;
      this.chart.setOption(this.options, { notMerge: drawn !== this.options.series?.length });
    },
  },
};
