// SPDX-License-Identifier: GPL-2.0-or-later
// `ublkd doctor`: what is wrong on this machine, and what to type.
#include <algorithm>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "diagnosis.h"
#include "output.h"
#include "table.h"
#include "verb.h"

namespace ublk::daemon {

using nlohmann::ordered_json;

namespace {

ordered_json as_json(const std::vector<Finding>& findings) {
    ordered_json list = ordered_json::array();
    for (const Finding& finding : findings)
        list.push_back(
            {{"check", finding.check},
             {"verdict", name_of(finding.verdict)},
             {"what", finding.what},
             {"remedy", finding.remedy.empty() ? ordered_json{} : ordered_json(finding.remedy)}});
    return {{"findings", list}};
}

std::string as_table(const std::vector<Finding>& findings) {
    std::vector<Row> rows;
    for (const Finding& finding : findings) {
        rows.push_back(
            {std::string(name_of(finding.verdict)), std::string(finding.check), finding.what});
        if (!finding.remedy.empty())
            rows.push_back({"", "", "-> " + finding.remedy});
    }
    return format_table(rows);
}

class Doctor final : public Verb {
public:
    std::string_view name() const override { return "doctor"; }
    std::string_view summary() const override {
        return "look for what keeps disks from working here, and say what to do";
    }
    void declare(Arguments&) override {}
    std::string notes() const override {
        return "\ngood: nothing to do. doubtful: works, but not for everybody or not for ever. "
               "bad: "
               "does\nnot work. The exit code is that of a program that meets the first that is "
               "bad, or 0.\n";
    }

    Result<Exit> run(const Context& context) override {
        const auto findings = diagnose(Machine::here(context.paths));
        if (context.json)
            print_json(as_json(findings));
        else
            print(as_table(findings));
        const auto bad = std::find_if(findings.begin(), findings.end(), [](const Finding& finding) {
            return finding.verdict == Verdict::bad;
        });
        return bad == findings.end() ? Exit::ok : bad->exit;
    }
};

} // namespace

std::unique_ptr<Verb> make_doctor() { return std::make_unique<Doctor>(); }

} // namespace ublk::daemon
