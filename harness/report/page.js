(() => {
  const form = document.querySelector(".filter");
  if (!form) return;
  const search = form.querySelector("input[type=search]");
  const boxes = [...form.querySelectorAll("input[type=checkbox]")];
  const output = form.querySelector("output");
  const bands = [...document.querySelectorAll(".evidence tbody")].map((body) => ({
    body,
    rows: [...body.querySelectorAll("tr[id]")].map((row) => ({ row, text: row.textContent.toLowerCase() })),
  }));
  const total = bands.reduce((sum, band) => sum + band.rows.length, 0);
  const apply = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const kinds = boxes.filter((box) => box.checked).map((box) => box.value);
    let shown = 0;
    for (const { body, rows } of bands) {
      let here = 0;
      for (const { row, text } of rows) {
        const match = kinds.some((kind) => row.classList.contains(kind)) && words.every((word) => text.includes(word));
        row.hidden = !match;
        here += match;
      }
      body.hidden = !here;
      shown += here;
    }
    output.textContent = shown === total ? "" : `${shown} of ${total} shown`;
  };
  const reveal = () => {
    const row = location.hash && document.getElementById(location.hash.slice(1));
    if (!row || !row.hidden) return;
    search.value = "";
    boxes.forEach((box) => { box.checked = true; });
    apply();
    row.scrollIntoView();
  };
  form.hidden = false;
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", reveal);
})();
