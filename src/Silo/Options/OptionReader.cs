namespace OrleansCache.Silo.Options;

/// <summary>
/// Puts the layers together: the settings file, over it the environment, over it the command line. An option that a higher layer names replaces the lower
/// layer's value, lists included; only -o adds up, name by name, because it is many options in one. Everything wrong ends in a
/// <see cref="StartException"/> that names the place: the option, the variable, or the file and its key.
/// </summary>
internal static class OptionReader
{
    /// <summary>Whether this build can be a silo or a cluster's gateway.</summary>
#if CLUSTER
    public const bool HasCluster = true;
#else
    public const bool HasCluster = false;
#endif

    public static ServeOptions Read(
        IReadOnlyList<string> arguments, Func<string, string?> environment, bool hasCluster = HasCluster, IEnumerable<string>? variables = null)
    {
        var given = new List<GivenOption>();
        var operands = new List<string>();
        if (GetOpt.Parse(arguments, given, operands) is { } error)
            throw StartException.Usage(error);

        var options = new ServeOptions { Verb = ReadVerb(operands) };

        // Help and the like come first, whatever else the line holds: a person who asks for help must get it.
        foreach (GivenOption one in given)
        {
            if (one.Option.Long is "help" or "version" or "license")
                one.Option.Apply!(options, "");
        }

        if (options.Verb is not (Verb.Serve or Verb.Gateway))
            return options;

        var layers = new List<OptionLayer> { OptionLayer.OfCommandLine(given), OptionLayer.OfEnvironment(environment) };
        options.Warnings.AddRange(VariableNames.FindUnknown(variables ?? []));
        Option settings = OptionTable.All.First(option => option.Long == "settings");
        foreach (OptionLayer layer in layers)
        {
            if (layer.Values.FirstOrDefault(value => value.Option == settings) is { Option: not null } file)
            {
                Apply(options, file, hasCluster);
                layers.Add(SettingsFile.Read(options.SettingsFile!));
                break;
            }
        }

        // In the table's order, so that the port is known before the addresses that default to it.
        foreach (Option option in OptionTable.All)
        {
            if (option == settings)
                continue;
            if (option.Long == "extended")
            {
                foreach (OptionLayer layer in Enumerable.Reverse(layers))
                    ApplyFrom(layer, option, options, hasCluster);
            }
            else
            {
                foreach (OptionLayer layer in layers)
                {
                    if (ApplyFrom(layer, option, options, hasCluster))
                        break;
                }
            }
        }

        OptionChecks.Check(options, hasCluster);
        return options;
    }

    private static bool ApplyFrom(OptionLayer layer, Option option, ServeOptions options, bool hasCluster)
    {
        bool found = false;
        foreach (LayerValue value in layer.Values)
        {
            if (value.Option != option)
                continue;
            found = true;
            Apply(options, value, hasCluster);
        }

        return found;
    }

    private static void Apply(ServeOptions options, LayerValue value, bool hasCluster)
    {
        Option option = value.Option;
        if (option.Kind == OptionKind.Flag && !value.IsOn)
            return;
        if (option.State == OptionState.NotYet)
            throw StartException.Usage($"{value.Place}{option.Names} is not supported yet ({option.Help})");
        if (option.State == OptionState.Refused)
            throw StartException.Usage($"{value.Place}{option.Names} cannot be used here: {option.Help}");
        if (option.Group == OptionGroup.Cluster)
        {
            if (!hasCluster)
                throw StartException.Usage(
                    $"{value.Place}this build has no cluster support (Cluster=false): --{option.Long} needs the Orleans packages. {WithoutCluster}");
            options.ClusterOption ??= "--" + option.Long;
        }

        if (option.Apply?.Invoke(options, value.Text) is { } error)
        {
            // memcached's own sentences name their option themselves; ours do not.
            bool namesItself = error.StartsWith("ERROR", StringComparison.Ordinal) || char.IsUpper(error[0]) || value.Place.Length > 0;
            throw StartException.Usage(value.Place + (namesItself ? error : $"{option.Names}: {error}"));
        }
    }

    /// <summary>What a person can do about a build without the cluster.</summary>
    public const string WithoutCluster = "Where a NuGet feed has them, `./orleanscache build` builds with them.";

    private static Verb ReadVerb(List<string> operands)
    {
        // `help serve`: one page tells about all of them.
        if (operands is ["help", _])
        {
            _ = operands[1] is "test" or "chaos" or "build" or "package" or "completion" ? Verb.Help : ReadVerb([operands[1]]);
            return Verb.Help;
        }

        if (operands is ["completion", _])
        {
            return operands[1] switch
            {
                "bash" => Verb.CompletionBash,
                "zsh" => Verb.CompletionZsh,
                _ => throw StartException.Usage($"completion: '{operands[1]}' is neither bash nor zsh"),
            };
        }

        if (operands.Count > 1)
            throw StartException.Usage($"unexpected argument '{operands[1]}'");
        string verb = operands.Count == 0 ? "serve" : operands[0];
        switch (verb)
        {
            case "serve":
                return Verb.Serve;
            case "gateway":
                return Verb.Gateway;
            case "help":
                return Verb.Help;
            case "version":
                return Verb.Version;
            case "options-page":
                return Verb.OptionsPage;
            case "manual-page":
                return Verb.ManualPage;
            case "completion":
                throw StartException.Usage("completion of which shell? `orleanscache completion bash` or zsh");
            case "test" or "chaos" or "build" or "package":
                throw StartException.Usage($"'{verb}' is a command of the launcher at the root of the repository: ./orleanscache {verb}");
            default:
                string? near = Spelling.Nearest(
                    verb, ["serve", "gateway", "help", "version", "completion", "test", "chaos", "build", "package", .. Operator.Names]);
                throw StartException.Usage($"unknown command '{verb}'" + (near is null ? "" : $"; did you mean '{near}'?"));
        }
    }
}
