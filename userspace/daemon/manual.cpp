// SPDX-License-Identifier: GPL-2.0-or-later
// Writes descriptions down in the macros of man(7).
#include "manual.h"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "../targets/registry.h"

namespace ublk::daemon {

namespace {

class Page {
public:
    Page(const std::string& name, int section, std::string_view summary)
        : file_(fmt::format("{}.{}", name, section)) {
        std::string title = name;
        std::transform(title.begin(), title.end(), title.begin(),
                       [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
        // No date, so that the same sources make the same page.
        text_ = fmt::format(".\\\" SPDX-License-Identifier: GPL-2.0-or-later\n"
                            ".TH {} {} \"\" \"ublkd {}\" \"{}\"\n",
                            escape_for_man(title), section, UBLKD_VERSION,
                            section == 8 ? "System administration" : "Userspace block devices");
        heading("NAME");
        paragraph(fmt::format("{} \\- {}", escape_for_man(name), escape_for_man(summary)));
    }

    void heading(std::string_view title) { text_ += fmt::format(".SH {}\n", title); }
    void subheading(std::string_view title) {
        text_ += fmt::format(".SS {}\n", escape_for_man(title));
    }
    // Has macros in it.
    void paragraph(std::string_view text) { text_ += fmt::format("{}\n", text); }
    void plain(std::string_view text) { text_ += ".PP\n" + escape_for_man(text) + "\n"; }
    void item(std::string_view term, std::string_view text) {
        text_ += fmt::format(".TP\n\\fB{}\\fR\n{}\n", escape_for_man(term), escape_for_man(text));
    }
    // Line by line, as it is printed.
    void block(std::string_view text) {
        if (text.ends_with('\n'))
            text.remove_suffix(1);
        text_ += ".PP\n.nf\n" + escape_for_man(text) + "\n.fi\n";
    }

    ManualPage finish() && { return {std::move(file_), std::move(text_)}; }

private:
    std::string file_;
    std::string text_;
};

std::string page_name(const TargetInfo& info) {
    return fmt::format("ublkd-{}{}", info.name, info.is_filter() ? "-filter" : "");
}

std::string synopsis(const VerbDescription& verb) {
    std::string line = "ublkd " + verb.name + " [OPTION]...";
    for (const ArgumentDescription& word : verb.words)
        line += fmt::format(" {}{}{}{}", word.required ? "" : "[", word.name,
                            word.required ? "" : "]", word.repeats ? "..." : "");
    return line;
}

void add_verb(Page& page, const VerbDescription& verb) {
    page.subheading(synopsis(verb));
    page.paragraph(escape_for_man(verb.summary) + ".");
    for (const ArgumentDescription& word : verb.words)
        page.item(word.name, word.help);
    for (const ArgumentDescription& option : verb.options) {
        std::string term;
        for (const std::string& flag : option.flags())
            term += (term.empty() ? "" : ", ") + flag;
        page.item(option.unit.empty() ? term : term + " " + option.unit, option.help);
    }
    if (!verb.notes.empty())
        page.block(verb.notes.substr(verb.notes.find_first_not_of('\n')));
}

void add_see_also(Page& page, std::string_view except) {
    std::string names;
    const auto add = [&](const std::string& name, int section) {
        if (name != except)
            names += fmt::format("{}.BR {} ({})", names.empty() ? "" : " ,\n", escape_for_man(name),
                                 section);
    };
    add("ublkd", 8);
    for (const auto list : {targets::all(), targets::filters()})
        for (const TargetInfo* info : list)
            add(page_name(*info), 7);
    add("libublk", 3);
    page.heading("SEE ALSO");
    page.paragraph(names);
}

// Keys as ublkd targets tells them.
void add_keys(Page& page, const TargetInfo& info) {
    page.heading("KEYS");
    if (info.options.empty())
        page.paragraph("It has none.");
    for (const OptionInfo& option : info.options) {
        std::string text(option.help);
        if (option.required)
            text += " (required)";
        else if (!option.default_value.empty())
            text += fmt::format(" (default {})", option.default_value);
        page.item(fmt::format("{}={}", option.name, name_of(option.type)), text);
    }
    page.plain("A size takes a suffix K, M, G or T, powers of 1024; a duration one of ns, us, ms "
               "and s.");
}

ManualPage page_of(const TargetInfo& info) {
    const std::string name = page_name(info);
    Page page(name, 7, info.summary);
    page.heading("SYNOPSIS");
    page.plain(info.is_filter()
                   ? fmt::format("ublkd add TARGET --filter {}[:KEY=VALUE,...]", info.name)
                   : fmt::format("ublkd add {} [KEY=VALUE]...", info.name));
    add_keys(page, info);
    add_see_also(page, name);
    return std::move(page).finish();
}

ManualPage page_of_program(const Verbs& verbs) {
    Page page("ublkd", 8, "attach, detach and describe userspace block devices");
    page.heading("SYNOPSIS");
    page.plain("ublkd VERB [ARGUMENTS]");
    page.heading("DESCRIPTION");
    page.plain("A block device /dev/ublkbN looks like any disk; behind it a process in userspace "
               "answers reads and writes. ublkd makes such devices of targets: files, memory and "
               "more, with filters in front of them. Each has a server process of its own, and a "
               "driver, ublk_drv, that connects the two.");
    page.heading("VERBS");
    for (const auto& verb : verbs)
        add_verb(page, describe(*verb));
    page.heading("EXIT STATUS");
    for (int code = 0; code <= static_cast<int>(Exit::partial); ++code)
        page.item(std::to_string(code), meaning(static_cast<Exit>(code)));
    page.heading("FILES");
    page.item("/run/ublkd/N.json", "what is known of the device /dev/ublkbN beside what the driver "
                                   "knows");
    page.item("/run/ublkd/N.log", "what its server has to say");
    page.heading("ENVIRONMENT");
    page.item("UBLKD_STATE_DIR", "stands in place of /run/ublkd");
    page.heading("EXAMPLES");
    page.plain("A file as a disk:");
    page.block("truncate -s 10G /var/tmp/disk.img\n"
               "ublkd add loop file=/var/tmp/disk.img\n"
               "ublkd list\n"
               "ublkd del /dev/ublkb0");
    add_see_also(page, "ublkd");
    return std::move(page).finish();
}

} // namespace

std::string escape_for_man(std::string_view text) {
    std::string escaped;
    bool begins = true;
    for (const char c : text) {
        if (begins && (c == '.' || c == '\''))
            escaped += "\\&";
        begins = c == '\n';
        switch (c) {
        case '\\':
            escaped += "\\e";
            break;
        case '-':
            escaped += "\\-";
            break;
        case '\'':
            escaped += "\\(aq";
            break;
        case '`':
            escaped += "\\(ga";
            break;
        case '^':
            escaped += "\\(ha";
            break;
        case '~':
            escaped += "\\(ti";
            break;
        default:
            escaped += c;
        }
    }
    return escaped;
}

std::vector<ManualPage> manual_pages(const Verbs& verbs) {
    std::vector<ManualPage> pages{page_of_program(verbs)};
    for (const auto list : {targets::all(), targets::filters()})
        for (const TargetInfo* info : list)
            pages.push_back(page_of(*info));
    return pages;
}

} // namespace ublk::daemon
