"use strict";
(() => {
  const PRINTED = 680; // width of the text on A4 in CSS pixels
  const plots = [...document.querySelectorAll(".plot")];

  for (const plot of plots) {
    const drawn = JSON.parse(document.getElementById(plot.dataset.from).textContent);
    Plotly.newPlot(plot, drawn.data, drawn.layout, { displayModeBar: false, responsive: true });
  }

  // A legend's button shows and hides its line on every picture of its figure.
  for (const button of document.querySelectorAll(".legend button")) {
    button.addEventListener("click", () => {
      const shown = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(shown));
      for (const plot of button.closest("figure").querySelectorAll(".plot")) {
        const named = plot.data.flatMap((trace, k) =>
          (trace.legendgroup ?? trace.name) === button.dataset.trace ? [k] : []);
        if (named.length) Plotly.restyle(plot, { visible: shown }, named);
      }
    });
  }

  const key = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v);
  };
  const isEmpty = (value) => value === "" || Number.isNaN(value);
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b
      : String(a).localeCompare(String(b), "en", { numeric: true });

  for (const button of document.querySelectorAll("th button")) {
    button.addEventListener("click", () => {
      const head = button.closest("th");
      const body = button.closest("table").tBodies[0];
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...body.rows].sort((one, two) => {
        const [a, b] = [key(one, head.cellIndex), key(two, head.cellIndex)];
        if (isEmpty(a) || isEmpty(b)) return isEmpty(a) - isEmpty(b); // empty cells stay below
        return up ? compare(a, b) : compare(b, a);
      });
      body.append(...rows);
    });
  }

  // On a phone the contents are folded away until asked for.
  const contents = document.querySelector("nav details");
  if (contents && window.innerWidth < 760) contents.open = false;

  const fit = (width) => {
    for (const plot of plots) {
      const half = plot.closest(".side") ? width / 2 - 12 : width;
      Plotly.relayout(plot, width ? { width: half, autosize: false }
        : { width: null, autosize: true });
    }
  };
  window.addEventListener("beforeprint", () => fit(PRINTED));
  window.addEventListener("afterprint", () => fit(0));
})();
