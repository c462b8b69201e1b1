#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
#
# Tests of scripts/campaign.py on test programs that only pretend: figures are added up over the
# slices, failures are told and reproduced, an interrupted campaign goes on where it stopped.
import json
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parent.parent.parent / "scripts" / "campaign.py"

GOOD = """#!/bin/sh
echo "slice $RVMFS_SLICE of $RVMFS_TIER" >>"$0.calls"
echo "PROGRESS part=model done=1 of=2"
echo "TOTAL part=model operations=10 seconds=0.5 failures=0"
echo "[==========] 4 tests from 1 test suite ran. (1 ms total)"
"""
BAD = """#!/bin/sh
echo "  reproduce: RVMFS_MODEL_SEED=17"
echo "TOTAL part=model operations=3 seconds=0.5 failures=1"
echo "[==========] 4 tests from 1 test suite ran. (1 ms total)"
exit 1
"""
EMPTY = """#!/bin/sh
echo "[==========] 0 tests from 0 test suites ran. (0 ms total)"
"""


class CampaignTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.build = Path(self.folder.name)
        self.results = self.build / "results.md"
        (self.build / "tests").mkdir()
        self.program = self.build / "tests" / "model_tests"

    def tearDown(self):
        self.folder.cleanup()

    def run_campaign(self, program, *more):
        self.program.write_text(program)
        self.program.chmod(0o755)
        return subprocess.run([sys.executable, SCRIPT, "nightly", "--parts", "model", "--build",
                               self.build, "--results", self.results, *more],
                              capture_output=True, text=True, check=False)

    def calls(self):
        return Path(f"{self.program}.calls").read_text().splitlines()

    def parts(self):
        return json.loads(self.results.with_suffix(".json").read_text())["parts"]

    def test_figures_of_all_slices_are_added_up(self):
        done = self.run_campaign(GOOD)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        slices = len(self.calls())
        self.assertGreater(slices, 1)
        self.assertEqual(self.calls()[0], f"slice 1/{slices} of nightly")
        self.assertEqual(self.parts()["model"]["operations"], 10 * slices)
        self.assertIn(f"| model | {10 * slices} operations |", self.results.read_text())

    def test_a_failure_is_told_with_the_line_that_reproduces_it(self):
        done = self.run_campaign(BAD)
        self.assertEqual(done.returncode, 1)
        self.assertIn("reproduce: RVMFS_MODEL_SEED=17", done.stdout)
        self.assertIn("reproduce: RVMFS_MODEL_SEED=17", self.results.read_text())

    def test_a_part_that_runs_no_tests_has_failed(self):
        done = self.run_campaign(EMPTY)
        self.assertEqual(done.returncode, 1)
        self.assertIn("it ran no tests", self.results.read_text())

    def test_a_program_that_is_not_there_has_failed(self):
        self.run_campaign(GOOD)
        self.program.unlink()
        done = subprocess.run([sys.executable, SCRIPT, "nightly", "--parts", "model", "--build",
                               self.build, "--results", self.results],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1)

    def test_resuming_runs_only_what_was_not_done(self):
        self.run_campaign(GOOD)
        note_file = self.build / "campaign" / "nightly" / "done.json"
        note = json.loads(note_file.read_text())
        del note["slices"]["model.3"]
        note_file.write_text(json.dumps(note))
        before = len(self.calls())
        done = self.run_campaign(GOOD, "--resume")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(self.calls()[before:], [f"slice 3/{before} of nightly"])
        self.assertEqual(self.parts()["model"]["operations"], 10 * before)

    def test_being_ended_in_a_slice_ends_the_slice_and_keeps_what_was_done(self):
        self.program.write_text(GOOD + "case $RVMFS_SLICE in 3/*) echo $$ >\"$0.pid\"; "
                                "sleep 60;; esac\n")
        self.program.chmod(0o755)
        campaign = subprocess.Popen([sys.executable, SCRIPT, "nightly", "--parts", "model",
                                     "--build", self.build, "--results", self.results],
                                    stdout=subprocess.DEVNULL)
        pid = Path(f"{self.program}.pid")
        for _ in range(300):
            if pid.exists() and pid.read_text():
                break
            time.sleep(0.1)
        campaign.terminate()
        self.assertEqual(campaign.wait(20), 1)
        self.assertFalse(Path(f"/proc/{pid.read_text().strip()}").exists())
        note = json.loads((self.build / "campaign" / "nightly" / "done.json").read_text())
        self.assertEqual(sorted(note["slices"]), ["model.1", "model.2"])

    def test_resuming_at_another_commit_is_refused(self):
        self.run_campaign(GOOD)
        note_file = self.build / "campaign" / "nightly" / "done.json"
        note = json.loads(note_file.read_text())
        note["commit"] = "another"
        note_file.write_text(json.dumps(note))
        self.assertNotEqual(self.run_campaign(GOOD, "--resume").returncode, 0)


if __name__ == "__main__":
    unittest.main()
