/** Heat maps: the arrow keys walk over the cells, whose words are read out; Enter opens the row. */
const MOVES: Record<string, [number, number]> = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };

function begin(map: SVGSVGElement): void {
  const rows = [...map.querySelectorAll("g")].map((group) => [...group.querySelectorAll<SVGRectElement>("rect")]);
  const told = map.closest("section")?.querySelector<HTMLElement>(".heat-told");
  let at: [number, number] = [0, (rows[0]?.length ?? 1) - 1];
  const show = (cell: SVGRectElement | undefined): void => {
    map.querySelector("rect.here")?.classList.remove("here");
    cell?.classList.add("here");
    if (told) told.textContent = cell?.querySelector("title")?.textContent ?? "";
  };
  map.tabIndex = 0;
  map.addEventListener("focus", () => show(rows[at[0]]?.[at[1]]));
  map.addEventListener("pointerover", (event) => {
    const cell = event.target as SVGRectElement;
    if (told && cell.parentElement?.localName === "g") told.textContent = cell.querySelector("title")?.textContent ?? "";
  });
  map.addEventListener("keydown", (event) => {
    if (event.target !== map || event.ctrlKey || event.metaKey || event.altKey) return;
    const move = MOVES[event.key];
    if (move) {
      event.preventDefault();
      const row = Math.min(Math.max(at[0] + move[0], 0), rows.length - 1);
      at = [row, Math.min(Math.max(at[1] + move[1], 0), (rows[row]?.length ?? 1) - 1)];
      show(rows[at[0]]?.[at[1]]);
    } else if (event.key === "Enter") {
      const link = map.querySelectorAll<SVGAElement>("a")[at[0]];
      if (link) location.href = link.href.baseVal;
    }
  });
}

export function start(): void {
  document.querySelectorAll<SVGSVGElement>("svg[data-heat]").forEach(begin);
}
