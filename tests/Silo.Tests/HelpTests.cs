using OrleansCache.Silo.Options;

namespace OrleansCache.Silo.Tests;

public sealed class HelpTests
{
    [Fact]
    public void TheHelpNamesEveryOptionThatIsThereAndNoOther()
    {
        string help = HelpText.Help();
        bool IsThere(OptionState state) => state is OptionState.Works or OptionState.NoEffect;

        Assert.All(OptionTable.Shown, option => Assert.Equal(IsThere(option.State), help.Contains("--" + option.Long, StringComparison.Ordinal)));
        Assert.All(
            OptionTable.All.Where(option => option.Short != '\0'),
            option => Assert.Equal(IsThere(option.State), help.Contains($"  -{option.Short}, --", StringComparison.Ordinal)));
        Assert.All(
            ExtendedOptions.All,
            option => Assert.Equal(IsThere(option.State)
                && !option.Name.StartsWith("ext_", StringComparison.Ordinal), help.Contains(option.Name, StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData("ssl_chain_cert=<file>")]
    [InlineData("ssl_min_version=<version>")]
    [InlineData("idle_timeout=<num>")]
    public void TheHelpSaysWhatStandsForAValue(string words) => Assert.Contains(words, HelpText.Help(), StringComparison.Ordinal);

    [Fact]
    public void TheHelpFitsATerminal() => Assert.All(HelpText.Help().Split('\n'), line => Assert.True(line.Length <= 105, line));

    [Fact]
    public void TheOptionsPageIsTheTable()
    {
        string path = Path.Combine(Repository.Root, "docs", "options.md");

        Assert.True(
            File.ReadAllText(path) == HelpText.Page(),
            "docs/options.md is not what the option table says; make it again: dotnet run --project src/Silo -- options-page > docs/options.md");
    }
}
