using System.Globalization;

namespace OrleansCache.Silo.Options;

/// <summary>A value of one option in one layer.</summary>
/// <param name="Option">Which option.</param>
/// <param name="Text">The value; of a flag nothing.</param>
/// <param name="IsOn">Of a flag: whether it is set. A lower layer's flag is switched off by a higher layer's false.</param>
/// <param name="Place">Where it stands, for messages: empty for the command line, else "NAME: ".</param>
internal readonly record struct LayerValue(Option Option, string Text, bool IsOn, string Place);

/// <summary>What one place says about the options.</summary>
internal sealed class OptionLayer
{
    public List<LayerValue> Values { get; } = [];

    public static OptionLayer OfCommandLine(List<GivenOption> given)
    {
        var layer = new OptionLayer();
        foreach (IGrouping<Option, GivenOption> group in given.GroupBy(one => one.Option))
        {
            string text = group.Key.Kind switch
            {
                OptionKind.List => string.Join(",", group.Select(one => one.Value)),
                OptionKind.Counter => group.Count().ToString(CultureInfo.InvariantCulture),
                _ => group.Last().Value,
            };
            layer.Values.Add(new LayerValue(group.Key, text, true, ""));
        }

        return layer;
    }

    public static OptionLayer OfEnvironment(Func<string, string?> environment)
    {
        var layer = new OptionLayer();
        foreach (Option option in OptionTable.All)
        {
            // A variable that is empty counts as not set, as a shell or a compose file leaves it.
            if (environment(option.Variable) is { Length: > 0 } text && !VariableNames.IsOfKubernetes(option.Variable, text))
                layer.Add(option, text, option.Variable + ": ");
        }

        return layer;
    }

    /// <summary>Adds a value that was not given by a letter or a name on the command line.</summary>
    public void Add(Option option, string text, string place)
    {
        if (option.Long is "help" or "version" or "license")
            return;
        bool isOn = true;
        if (option.Kind == OptionKind.Flag && !Options.Values.TrySwitch(text, out isOn))
            throw StartException.Usage($"{place}\"{text}\" is neither true nor false");
        Values.Add(new LayerValue(option, text, isOn, place));
    }
}
