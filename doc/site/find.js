/*
 * The search: a list of what has the words in it that were typed, below the field. names.js, which is made
 * of what Doxygen knows (names.awk), has the names of all functions, types, constants, pages and chapters.
 *
 * A slash goes to the field, arrows move in the list, Enter goes there, Escape leaves.
 */
(function () {
	"use strict";
	const MOST = 15;
	const field = document.getElementById("find");
	const list = document.getElementById("found");
	let chosen = 0;

	/* Where the words are in the name, the sum; what has them at its beginning comes first. */
	function distance(name, words) {
		let sum = name.length / 1000;
		for (const word of words) {
			const at = name.toLowerCase().indexOf(word);
			if (at < 0) {
				return -1;
			}
			sum += at;
		}
		return sum;
	}

	function choose(index) {
		const items = list.children;
		if (items.length > 0) {
			chosen = (index + items.length) % items.length;
			for (let i = 0; i < items.length; i++) {
				items[i].classList.toggle("chosen", i === chosen);
			}
		}
	}

	function show() {
		const words = field.value.toLowerCase().split(/[\s()]+/).filter((word) => word !== "");
		const hits = words.length === 0 ? [] : names
			.map((entry) => ({ entry: entry, at: distance(entry[0], words) }))
			.filter((hit) => hit.at >= 0)
			.sort((one, other) => one.at - other.at)
			.slice(0, MOST);
		list.replaceChildren();
		for (const hit of hits) {
			const link = document.createElement("a");
			const where = document.createElement("small");
			link.href = field.dataset.root + hit.entry[1];
			link.textContent = hit.entry[0];
			where.textContent = hit.entry[2];
			link.append(where);
			list.append(link);
		}
		if (hits.length === 0 && words.length > 0) {
			list.textContent = "Nothing has that name.";
		}
		list.hidden = words.length === 0;
		choose(0);
	}

	field.addEventListener("input", show);
	field.addEventListener("focus", show);
	field.addEventListener("keydown", function (event) {
		if (event.key === "ArrowDown" || event.key === "ArrowUp") {
			choose(chosen + (event.key === "ArrowDown" ? 1 : -1));
			event.preventDefault();
		} else if (event.key === "Enter" && list.children.length > 0) {
			list.children[chosen].click();
			list.hidden = true;
		} else if (event.key === "Escape") {
			list.hidden = true;
		}
	});
	document.addEventListener("keydown", function (event) {
		if (event.key === "/" && document.activeElement !== field) {
			field.focus();
			event.preventDefault();
		}
	});
	document.addEventListener("click", function (event) {
		if (!event.target.closest("#search")) {
			list.hidden = true;
		}
	});
})();
