// Asks once a second how far the exports on this page are, and shows the page again when one of them is over.
async function look(place) {
  try {
    const answer = await fetch(place.dataset.export);
    if (answer.ok) {
      const told = await answer.json();
      if (!told.open) return location.reload();
      place.querySelector("progress").value = told.percent;
      place.querySelector("[role=status]").textContent = `${told.percent} %`;
    } else if (answer.status < 500) return;
  } catch {
    // The network is away; ask again.
  }
  setTimeout(() => look(place), 1000);
}

for (const place of document.querySelectorAll("[data-export]")) setTimeout(() => look(place), 1000);
