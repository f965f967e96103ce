using OrleansCache.Silo.Options;

namespace OrleansCache.Silo.Tests;

/// <summary>Command line before environment before settings file.</summary>
public sealed class LayerTests : IDisposable
{
    private readonly string _file = Path.Combine(Path.GetTempPath(), $"orleanscache-settings-{Guid.NewGuid():N}.json");

    public void Dispose() => File.Delete(_file);

    [Fact]
    public void TheCommandLineWinsOverTheEnvironmentAndThatOverTheFile()
    {
        File.WriteAllText(_file, """{ "port": 1001, "memory-limit": 101, "threads": 3 }""");
        (string, string)[] environment = [("ORLEANSCACHE_PORT", "1002"), ("ORLEANSCACHE_MEMORY_LIMIT", "102"), ("ORLEANSCACHE_SETTINGS", _file)];

        ServeOptions options = Lines.Read("-p 1003", environment);

        Assert.Equal(1003, options.Port);
        Assert.Equal(102L << 20, options.MemoryBytes);
        Assert.Equal(3, options.Threads);
    }

    [Fact]
    public void TheFileOfTheCommandLineWinsOverThatOfTheEnvironment()
    {
        File.WriteAllText(_file, """{ "port": 1001 }""");

        Assert.Equal(1001, Lines.Read($"--settings {_file}", ("ORLEANSCACHE_SETTINGS", "/nowhere/at/all")).Port);
    }

    [Fact]
    public void AFileMayHoldEveryKindOfValue()
    {
        File.WriteAllText(_file, """
            {
              // Comments are welcome.
              "listen": ["127.0.0.1", "[::1]:99"],
              "Memory-Limit": "2g",
              "slab-growth-factor": 1.5,
              "disable-cas": true,
              "disable-evictions": false,
              "verbose": 2,
              "user": null,
              "extended": { "idle_timeout": 7, "modern": true, "no_modern": false },
            }
            """);

        ServeOptions options = Lines.Read($"--settings={_file}");

        Assert.Equal("127.0.0.1,[::1]:99", options.Listen);
        Assert.Equal(2048L << 20, options.MemoryBytes);
        Assert.Equal(1.5, options.GrowthFactor);
        Assert.True(options.NoCas);
        Assert.False(options.NoEviction);
        Assert.Equal(2, options.Verbosity);
        Assert.Equal(7, options.IdleTimeoutSeconds);
    }

    [Fact]
    public void AFlagOfTheFileIsSwitchedOffByTheEnvironment()
    {
        File.WriteAllText(_file, """{ "disable-cas": true }""");

        Assert.True(Lines.Read($"--settings {_file}").NoCas);
        Assert.False(Lines.Read($"--settings {_file}", ("ORLEANSCACHE_DISABLE_CAS", "false")).NoCas);
        Assert.True(Lines.Read($"--settings {_file} -C", ("ORLEANSCACHE_DISABLE_CAS", "false")).NoCas);
    }

    [Fact]
    public void ExtendedOptionsAddUpNameByName()
    {
        File.WriteAllText(_file, """{ "extended": "idle_timeout=1" }""");

        Assert.Equal(1, Lines.Read($"--settings {_file} -o modern").IdleTimeoutSeconds);
        Assert.Equal(2, Lines.Read($"--settings {_file} -o modern", ("ORLEANSCACHE_EXTENDED", "idle_timeout=2")).IdleTimeoutSeconds);
        Assert.Equal(3, Lines.Read($"--settings {_file} -o idle_timeout=3", ("ORLEANSCACHE_EXTENDED", "idle_timeout=2")).IdleTimeoutSeconds);
    }

    [Fact]
    public void AVariableThatNobodyReadsIsWarnedOf()
    {
        string[] names = ["PATH", "ORLEANSCACHE_PORT", "ORLEANSCACHE_PROT", "ORLEANSCACHE_CLUSTER", "ORLEANSCACHE_TEST_SEED",
            "ORLEANSCACHE_ANSWER_TO_EVERYTHING"];

        Assert.Equal(
            [
                "WARNING: the environment variable ORLEANSCACHE_ANSWER_TO_EVERYTHING is no option and is ignored",
                "WARNING: the environment variable ORLEANSCACHE_PROT is no option and is ignored; did you mean ORLEANSCACHE_PORT?",
            ],
            OptionReader.Read([], _ => null, hasCluster: true, names).Warnings);
    }

    [Fact]
    public void WhatKubernetesSaysOfAServiceIsNoOption()
    {
        (string Name, string Value)[] environment =
        [
            ("ORLEANSCACHE_PORT", "tcp://10.0.0.1:11211"), ("ORLEANSCACHE_SERVICE_HOST", "10.0.0.1"), ("ORLEANSCACHE_SERVICE_PORT", "11211"),
            ("ORLEANSCACHE_PORT_11211_TCP_ADDR", "10.0.0.1"), ("ORLEANSCACHE_SILO_PORT", "tcp://10.0.0.2:11111"),
                ("ORLEANSCACHE_SILOS_PORT", "tcp://10.0.0.3:11111"),
            ("ORLEANSCACHE_SILOS_SERVICE_HOST", "10.0.0.3"),
        ];

        ServeOptions options = OptionReader.Read(
            [], name => environment.FirstOrDefault(variable => variable.Name == name).Value, hasCluster: true, environment.Select(variable => variable.Name));

        Assert.Equal(11211, options.Port);
        Assert.False(options.WantsCluster);
        Assert.Empty(options.Warnings);
    }

    [Fact]
    public void AnEmptyVariableCountsAsNotSet() => Assert.Equal(11211, Lines.Read("", ("ORLEANSCACHE_PORT", "")).Port);

    [Theory]
    [InlineData("1", true)]
    [InlineData("TRUE", true)]
    [InlineData("yes", true)]
    [InlineData("off", false)]
    [InlineData("0", false)]
    public void AFlagInTheEnvironmentIsASwitch(string value, bool expected) =>
        Assert.Equal(expected, Lines.Read("", ("ORLEANSCACHE_DISABLE_EVICTIONS", value)).NoEviction);

    [Theory]
    [InlineData("ORLEANSCACHE_PORT", "x", "ORLEANSCACHE_PORT: \"x\" is not a number")]
    [InlineData("ORLEANSCACHE_DISABLE_CAS", "maybe", "ORLEANSCACHE_DISABLE_CAS: \"maybe\" is neither true nor false")]
    [InlineData("ORLEANSCACHE_HTTP", "x", "ORLEANSCACHE_HTTP: \"x\" is neither PORT nor HOST:PORT")]
    [InlineData("ORLEANSCACHE_CONN_LIMIT", "0", "ORLEANSCACHE_CONN_LIMIT: Maximum connections must be greater than 0")]
    public void AWrongVariableIsNamed(string name, string value, string message) =>
        Assert.StartsWith(message, Assert.Throws<StartException>(() => Lines.Read("", (name, value))).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("""{ "prot": 1 }""", "unknown setting \"prot\"; did you mean \"port\"?")]
    [InlineData("""{ "port": "x" }""", "port: \"x\" is not a number")]
    [InlineData("""{ "port": true }""", "port: a value of this kind cannot stand here")]
    [InlineData("""{ "port": [1] }""", "port: a value of this kind cannot stand here")]
    [InlineData("""{ "listen": [true] }""", "listen: a value of this kind cannot stand here")]
    [InlineData("""{ "help": true }""", "unknown setting \"help\"")]
    [InlineData("[1]", "expected an object of option names and values")]
    [InlineData("{ \"port\": 1\n \"threads\": 2 }", "not valid JSON at line 2, column 2")]
    [InlineData("", "not valid JSON at line 1")]
    public void AWrongFileIsNamedWithThePlace(string content, string message)
    {
        File.WriteAllText(_file, content);

        StartException exception = Assert.Throws<StartException>(() => Lines.Read($"--settings {_file}"));

        Assert.StartsWith($"settings file {_file}: ", exception.Message, StringComparison.Ordinal);
        Assert.Contains(message, exception.Message, StringComparison.Ordinal);
        Assert.Equal(ExitCode.Usage, exception.Code);
    }

    [Fact]
    public void EveryOptionCanBeSetByItsVariable()
    {
        Assert.Equal(OptionTable.All.Count, OptionTable.All.Select(option => option.Variable).Distinct().Count());
        Assert.All(OptionTable.All, option => Assert.Matches("^ORLEANSCACHE_[A-Z_]+$", option.Variable));

        // Names that the launcher and the tests use for themselves.
        Assert.DoesNotContain(OptionTable.All, option => option.Variable is "ORLEANSCACHE_CLUSTER" or "ORLEANSCACHE_DAEMON_CHILD"
            || option.Variable.StartsWith("ORLEANSCACHE_TEST_", StringComparison.Ordinal));
    }
}
