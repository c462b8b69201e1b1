#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
#
# The benchmarks' arithmetic: medians, which way round a ratio is, and when a target is met.
#
#   report_test.py SOURCE_DIR
import sys
import unittest
import xml.dom.minidom
from pathlib import Path

ROOT = Path(sys.argv.pop(1) if len(sys.argv) > 1 else ".").resolve()
sys.path.insert(0, str(ROOT / "bench"))
sys.dont_write_bytecode = True

from harness import plots, report, workloads  # noqa: E402

KINDS = {"rvmfs": "rvmfs", "limit": "limit", "ext4": "ext4", "fuse2fs": "fuse2fs", "host": "host"}


def measured(value, operations=100, daemon=0.0):
    return {"value": value, "operations": operations, "seconds": 1.0, "client": 0.0,
            "daemon": daemon, "switches": 0.0, "messages": {}}  # fmt: skip


def results(phase, unit, target, **values):
    rounds = {name: [v and measured(v) for v in list_] for name, list_ in values.items()}
    phases = {phase: {"title": phase, "unit": unit, "target": target}}
    return report.Results(phases, KINDS, {phase: rounds})


class Ratios(unittest.TestCase):
    def test_more_operations_a_second_are_better(self):
        seen = results("create", "op/s", "none", rvmfs=[200], limit=[100])
        self.assertEqual(seen.ratio("create", ["limit"]), 2)

    def test_fewer_seconds_are_better(self):
        seen = results("tar_x", "s", "none", rvmfs=[2], limit=[1])
        self.assertEqual(seen.ratio("tar_x", ["limit"]), 0.5)

    def test_a_ratio_is_taken_within_each_round(self):
        # The machine got slower by ten from round to round; rvmfs was always twice as fast.
        seen = results("create", "op/s", "none", rvmfs=[2000, 200, 20], limit=[1000, 100, 10])
        self.assertEqual(seen.ratio("create", ["limit"]), 2)

    def test_a_round_that_failed_is_left_out(self):
        seen = results("create", "op/s", "none", rvmfs=[10, None, 30], limit=[10, 10])
        self.assertEqual(seen.ratio("create", ["limit"]), 1)
        self.assertEqual(seen.median("create", "rvmfs"), 20)

    def test_the_best_of_several_is_the_rival(self):
        seen = results("read", "MiB/s", "none", rvmfs=[90], limit=[100], ext4=[50])
        self.assertEqual(seen.against("read", "best:limit,ext4"), 0.9)

    def test_without_the_other_there_is_no_ratio(self):
        seen = results("create", "op/s", "metadata", rvmfs=[90])
        self.assertIsNone(seen.ratio("create", ["limit"]))
        self.assertEqual(seen.verdicts("create"), [])


class Targets(unittest.TestCase):
    def missed(self, seen):
        (phase,) = seen.phases
        return [text for text, ratio, wanted in seen.verdicts(phase) if ratio < wanted]

    def test_metadata_may_cost_fifteen_percent_more_than_the_limit(self):
        fine = results("create", "op/s", "metadata", rvmfs=[88], limit=[100])
        slow = results("create", "op/s", "metadata", rvmfs=[86], limit=[100])
        self.assertEqual(self.missed(fine), [])
        self.assertEqual(self.missed(slow), ["limit / 1.15"])

    def test_three_times_fuse2fs_in_seconds_too(self):
        self.assertEqual(self.missed(results("tar", "s", "programs", rvmfs=[1], fuse2fs=[3])), [])
        slow = results("tar", "s", "programs", rvmfs=[1], fuse2fs=[2.9])
        self.assertEqual(self.missed(slow), ["3 x fuse2fs"])

    def test_an_absolute_target_is_met_at_or_below_it(self):
        self.assertEqual(self.missed(results("mount", "ms", "mount", rvmfs=[20])), [])
        self.assertEqual(self.missed(results("mount", "ms", "mount", rvmfs=[21])), ["20 ms"])

    def test_the_last_tenth_is_compared_with_the_first_of_the_same_filesystem(self):
        seen = results("last_tenth", "op/s", "flat", rvmfs=[89])
        seen.rounds["first_tenth"] = {"rvmfs": [measured(100)], "limit": [measured(1)]}
        self.assertEqual(self.missed(seen), ["0.9 x first tenth"])

    def test_durable_appends_are_compared_with_the_host(self):
        seen = results("append_fsync_1", "op/s", "durable_1", rvmfs=[59], ext4=[10])
        seen.rounds["raw_append_1"] = {"host": [measured(100)]}
        self.assertEqual(self.missed(seen), ["0.6 x raw append"])

    def test_every_workload_names_a_class_of_targets_and_a_unit(self):
        for suite in workloads.all_suites():
            for name, phase in suite.phases.items():
                self.assertIn(phase.target, report.TARGETS, name)
                self.assertIn(phase.unit, ("op/s", "MiB/s", *report.LOWER), name)

    def test_no_two_suites_have_a_phase_of_the_same_name(self):
        names = [name for suite in workloads.all_suites() for name in suite.phases]
        self.assertEqual(len(names), len(set(names)))


class Writing(unittest.TestCase):
    def test_the_report_says_what_was_missed(self):
        seen = results("create", "op/s", "metadata", rvmfs=[50], limit=[100])
        text = report.markdown(seen, {"load": "1"})
        self.assertIn("Targets: 0 met, 1 missed.", text)
        self.assertIn("**missed** limit / 1.15: 0.50 of 0.87", text)

    def test_a_plot_is_well_formed_whatever_the_names(self):
        rows = [("a <b> & c", {"rvmfs": 10.0, "limit": 2000.0}), ("one", {"rvmfs": 10.0})]
        svg = plots.dot_plot("x < y", rows, ["rvmfs", "limit"], KINDS)
        self.assertEqual(len(xml.dom.minidom.parseString(svg).getElementsByTagName("circle")), 5)


if __name__ == "__main__":
    unittest.main()
