// What a screen reader would miss, and what would not fit: names of fields, buttons, pictures and links; headings; ids.
() => {
  const faults = [];
  const seen = (node) => node.checkVisibility({ checkOpacity: false, checkVisibilityCSS: true });
  const text = (node) => (node.getAttribute("aria-label") || node.textContent || "").trim();
  for (const field of document.querySelectorAll("input:not([type=hidden]), select, textarea"))
    if (seen(field) && !field.labels.length && !field.getAttribute("aria-label")) faults.push(`no label: ${field.outerHTML}`);
  for (const node of document.querySelectorAll("button, a, summary, h1, h2, h3, th"))
    if (seen(node) && !text(node) && !node.querySelector("img[alt]:not([alt=''])")) faults.push(`no name: ${node.outerHTML}`);
  for (const image of document.querySelectorAll("img"))
    if (!image.hasAttribute("alt")) faults.push(`no alt: ${image.outerHTML}`);
  for (const bar of document.querySelectorAll("progress"))
    if (!bar.getAttribute("aria-label")) faults.push("a progress bar without a name");
  const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
  for (const id of new Set(ids.filter((id, place) => ids.indexOf(id) !== place))) faults.push(`id twice: ${id}`);
  for (const node of document.querySelectorAll("[aria-labelledby], [aria-describedby]"))
    for (const name of ["aria-labelledby", "aria-describedby"])
      for (const id of (node.getAttribute(name) || "").split(" ").filter(Boolean))
        if (!document.getElementById(id)) faults.push(`${name} names nothing: ${id}`);
  if (document.querySelectorAll("h1").length !== 1) faults.push("not one h1");
  if (document.querySelectorAll("main").length !== 1) faults.push("not one main");
  let level = 0;
  for (const heading of document.querySelectorAll("h1, h2, h3")) {
    const next = Number(heading.tagName[1]);
    if (next > level + 1) faults.push(`heading skips a level: ${heading.textContent}`);
    level = next;
  }
  if (!document.documentElement.lang) faults.push("no language");
  if (document.documentElement.scrollWidth > innerWidth) faults.push(`wider than the window: ${document.documentElement.scrollWidth}`);
  for (const node of document.querySelectorAll("button, .button, input:not([type=hidden], [type=radio]), select, textarea")) {
    const box = node.getBoundingClientRect();
    if (seen(node) && box.height && box.height < 40) faults.push(`too small to touch: ${node.outerHTML.slice(0, 80)} ${box.height}`);
  }
  return faults;
}
