namespace OrleansCache.Silo.Options;

/// <summary>One option as it was given, with its value if it takes one.</summary>
internal readonly record struct GivenOption(Option Option, string Value);

/// <summary>
/// Reads a command line by getopt_long's rules, which memcached follows: flags combine (-dv), values may be glued on (-p11211), stand behind an equals sign
/// (--port=11211) or be the next argument, whatever that looks like; options and operands may be mixed; -- ends the options; a long name may be cut short
/// as long as it stays unambiguous. One addition: an abbreviation that fits a name of memcached means that one, so that the names which
/// OrleansCache adds never break a memcached command line.
/// </summary>
internal static class GetOpt
{
    /// <summary>Splits the arguments into options and operands, or says what is wrong.</summary>
    public static string? Parse(IReadOnlyList<string> arguments, List<GivenOption> options, List<string> operands)
    {
        int i = 0;
        while (i < arguments.Count)
        {
            string argument = arguments[i++];
            string? error = null;
            if (argument == "--")
            {
                while (i < arguments.Count)
                    operands.Add(arguments[i++]);
            }
            else if (argument.StartsWith("--", StringComparison.Ordinal))
            {
                error = ParseLong(argument, arguments, ref i, options);
            }
            else if (argument.Length > 1 && argument[0] == '-')
            {
                error = ParseShort(argument, arguments, ref i, options);
            }
            else
            {
                operands.Add(argument);
            }

            if (error is not null)
                return error;
        }

        return null;
    }

    private static string? ParseShort(string argument, IReadOnlyList<string> arguments, ref int next, List<GivenOption> options)
    {
        // memcached reads -port as -p with the value "ort". Nobody means that.
        string name = argument[1..].Split('=')[0];
        if (name.Length > 2 && OptionTable.All.Any(option => option.Long == name))
            return $"'-{name}' has one dash too few: did you mean '-{argument}'?";
        for (int at = 1; at < argument.Length; at++)
        {
            Option? option = OptionTable.ByLetter(argument[at]);
            if (option is null)
                return $"invalid option -- '{argument[at]}'";
            if (!option.TakesValue)
            {
                options.Add(new GivenOption(option, ""));
                continue;
            }

            if (at + 1 < argument.Length)
                options.Add(new GivenOption(option, argument[(at + 1)..].TrimStart()));
            else if (next < arguments.Count)
                options.Add(new GivenOption(option, arguments[next++].TrimStart()));
            else
                return $"option requires an argument -- '{argument[at]}'";
            return null;
        }

        return null;
    }

    private static string? ParseLong(string argument, IReadOnlyList<string> arguments, ref int next, List<GivenOption> options)
    {
        int equals = argument.IndexOf('=', StringComparison.Ordinal);
        string name = equals < 0 ? argument[2..] : argument[2..equals];
        if (Find(name, out Option? option) is { } error)
            return error;
        if (!option!.TakesValue)
        {
            // memcached lets --verbose take a value and ignores it.
            if (equals >= 0 && option.Kind != OptionKind.Counter)
                return $"option '--{option.Long}' doesn't allow an argument";
            options.Add(new GivenOption(option, ""));
        }
        else if (equals >= 0)
        {
            options.Add(new GivenOption(option, argument[(equals + 1)..].TrimStart()));
        }
        else if (next < arguments.Count)
        {
            options.Add(new GivenOption(option, arguments[next++].TrimStart()));
        }
        else
        {
            return $"option '--{option.Long}' requires an argument";
        }

        return null;
    }

    private static string? Find(string name, out Option? found)
    {
        found = OptionTable.All.FirstOrDefault(option => option.Long == name);
        if (found is not null)
            return null;
        foreach (bool isMemcached in (ReadOnlySpan<bool>)[true, false])
        {
            Option[] candidates = name.Length == 0 ? []
                : [.. OptionTable.All.Where(option => option.IsMemcached == isMemcached && option.Long.StartsWith(name, StringComparison.Ordinal))];
            if (candidates.Length > 1)
            {
                string possibilities = string.Join(" ", candidates.Select(option => $"'--{option.Long}'"));
                return $"option '--{name}' is ambiguous; possibilities: {possibilities}";
            }

            if (candidates.Length == 1)
            {
                found = candidates[0];
                return null;
            }
        }

        string? near = Spelling.Nearest(name, OptionTable.All.Select(option => option.Long));
        return $"unrecognized option '--{name}'" + (near is null ? "" : $"; did you mean '--{near}'?");
    }
}
