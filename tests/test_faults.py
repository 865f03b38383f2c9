"""Each of the sixty faults has a test that says so, and the page about them is true."""

from pathlib import Path

import faults

PAGE = Path(__file__).parent.parent / "docs" / "faults.md"


def test_every_fault_has_its_proof_and_no_proof_is_of_an_unknown_fault() -> None:
    numbers = {number for section in faults.FAULTS.values() for number in section}
    assert numbers == set(range(1, 61))
    assert set(faults.proofs()) == numbers


def test_the_page_of_the_faults_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == faults.table(faults.proofs()), "see tests/faults.py"


def test_marks_are_found_on_tests_and_on_their_parameters(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "CASES = [pytest.param(b'', marks=[other, pytest.mark.fault(3, 4)], id='none'),"
        " pytest.param(a.b, marks=fault(5))]\n"
        "@pytest.mark.fault(1)\n"
        "@pytest.mark.parametrize('one', CASES)\n"
        "async def test_one(one): ...\n"
        "@pytest.mark.parametrize('x', [pytest.param(1, marks=fault(9)), 2])\n"
        "def test_two(x): ...\n"
        "def test_three(): fault(7)\n"
    )
    assert faults.proofs(tmp_path) == {
        1: ["test_it.py::test_one"],
        3: ["test_it.py::test_one[none]"],
        4: ["test_it.py::test_one[none]"],
        5: ["test_it.py::test_one[b]"],
        9: ["test_it.py::test_two[1]"],
    }
