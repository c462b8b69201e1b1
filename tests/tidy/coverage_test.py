#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
#
# The arithmetic of scripts/coverage_report.py: what counts as a line or a branch, what an excuse
# covers, and that too little is a failure.
import contextlib
import importlib.util
import io
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location("report", ROOT / "scripts/coverage_report.py")
report = importlib.util.module_from_spec(spec)
sys.dont_write_bytecode = True
spec.loader.exec_module(report)

# Branches: [line, column, line, column, times true, times false, file, expansion, 4].
# Regions: [line, column, line, column, count, file, expanded file, kind].
SOURCE = """\
int f(int a) {
  if (a > 0) return 1;
  if (RVM_SEEDED_BUG("x")) {
    a = 2;
  }
  // not covered: nobody can
  // do that.
  if (a < -5) {
    a = 3;
  }
  RVM_TRY(a);
  return a;
}
"""


def function(count=5, never=0):
    return {
        "name": "f",
        "count": count,
        "filenames": ["SOURCE", "MACRO"],
        "regions": [
            [1, 14, 13, 2, count, 0, 0, 0],
            [2, 14, 2, 22, 1, 0, 0, 0],
            [3, 28, 5, 4, 0, 0, 0, 0],
            [8, 15, 10, 4, 0, 0, 0, 0],
            [11, 3, 11, 10, count, 0, 1, 1],
        ],
        "branches": [
            [2, 7, 2, 12, 1, count - 1, 0, 0, 4],
            [3, 7, 3, 27, 0, 0, 0, 0, 4],
            [8, 7, 8, 13, 0, count, 0, 0, 4],
            [7, 9, 7, 20, never, count, 1, 0, 4],  # in the macro
        ],
    }


class CoverageReport(unittest.TestCase):
    def run_report(self, functions, source=SOURCE, name="rvm/src/f.cc"):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder).resolve()
            path = root / name
            path.parent.mkdir(parents=True)
            path.write_text(source)
            for one in functions:
                one["filenames"] = [str(path), str(root / "rvm/macro.h")]
            export = {"data": [{"functions": functions}]}
            made = report.Report(root, report.Branches(export, root),
                                 report.Lines(export, root).counts)
            text = io.StringIO()
            with contextlib.redirect_stdout(text):
                made.table()
                made.excuses()
                made.missing("rvm")
            return made, text.getvalue()

    def test_a_branch_of_a_macro_is_told_where_the_macro_is_used(self):
        _, text = self.run_report([function()])
        self.assertIn("rvm/src/f.cc:11: RVM_TRY(a);\n    column 3 never true", text)

    def test_instances_are_added_up(self):
        made, text = self.run_report([function(), function(never=2)])
        self.assertNotIn("f.cc:11: RVM_TRY", text)
        self.assertEqual(made.failures, [])

    def test_seeded_bugs_and_excused_places_do_not_count(self):
        made, text = self.run_report([function(never=1)])
        self.assertEqual(made.branches.missed("rvm/src/f.cc"), [(8, 7, "true")])
        self.assertIn("1 lines, 1 branches: nobody can do that.", text)
        self.assertNotIn("never run", text)
        self.assertEqual(made.failures, [])

    def test_an_excuse_for_nothing_is_an_error(self):
        source = SOURCE.replace("  return a;", "  // not covered: by mistake\n  return a;")
        one = function(never=1)
        one["regions"][0][2] = 14
        made, _ = self.run_report([one], source)
        self.assertEqual(len(made.failures), 1)
        self.assertIn("an excuse for nothing", made.failures[0])

    def test_too_little_is_an_error(self):
        made, _ = self.run_report([function(count=0)])
        self.assertEqual(len(made.failures), 2)

    def test_some_files_must_have_every_branch(self):
        branches = [function(never=1) for _ in range(3)] + [function()]
        made, _ = self.run_report(branches, name="rvm/src/replay.cc")
        self.assertEqual(made.failures, [])
        made, _ = self.run_report([function()], name="rvm/src/replay.cc")
        self.assertTrue(any("must have every branch" in text for text in made.failures))


if __name__ == "__main__":
    unittest.main()
