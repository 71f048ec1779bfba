"""The page lists the cells of the matrix, all of them and no other."""

from tests.faults.matrix.cells import REAL, cells
from tests.faults.matrix.page import PAGE, listed, page


def test_the_page_lists_every_cell() -> None:
    told = listed(PAGE.read_text(encoding="utf-8"))
    assert sorted(told) == sorted(names()), "make test-faults, then make faults-page"


def test_a_page_can_be_read_back() -> None:
    assert sorted(listed(page(dict.fromkeys(names(), 1.0)))) == sorted(names())
    assert len(set(names())) == len(names())


def names() -> list[str]:
    return [*(cell.name for cell in cells()), *REAL]
